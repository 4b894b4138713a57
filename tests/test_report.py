"""A page to hand on: what is on it, what is not, and that names stay names."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multist as mt
from multist.access import domain_params, identifiers_advice

pytestmark = pytest.mark.slow

ODD = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', r"$\frac$ & $5", "{{ 7*7 }}", "a", "b", "c"]


class Seen(HTMLParser):
    """Tags with their attributes, and the text beside scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.words))

    @property
    def heads(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.source)

    def images(self) -> list[Image.Image]:
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))) for source in sources]


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch):
    plt.switch_backend("agg")
    plt.close("all")  # of tests before
    monkeypatch.setattr("multist._report.page._DPI", 60)
    yield
    assert not plt.get_fignums(), "a figure was left open"


@pytest.fixture
def named(tissue_table: ad.AnnData) -> ad.AnnData:
    """Domains and nothing else."""
    tissue_table.obs["multist_domain"] = tissue_table.obs["domain"]
    return tissue_table


@pytest.mark.parametrize("name", ["x.pdf", "x.PNG", "of.donor"])
def test_a_name_that_says_something_else_than_html_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=rf"a report is a page of HTML, which '{name}' would not say.*ends in .html"):
        mt.report(ad.AnnData(np.ones((3, 2))), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def whole(named: ad.AnnData) -> ad.AnnData:
    """All results, made by hand."""
    rng = np.random.default_rng(0)
    named.obs["multist_image_weight"] = rng.random(named.n_obs)
    named.obs["multist_confidence"] = 0.9
    named.obs["multist_pseudotime"] = named.obs["depth"]
    pairs = pd.DataFrame(
        {
            "source": ["LIG", "OTHER"],
            "target": ["REC", "REC"],
            "ligand_domain": ["rim", "cortex_a"],
            "receptor_domain": ["cortex_a", "rim"],
            "enrichment": [0.5, 0.1],
            "border_pvalue": [1e-5, 0.4],
            "border_fdr": [1e-4, 0.6],
        }
    )
    borders = pd.DataFrame({"domain_1": ["rim"], "domain_2": ["cortex_a"], "length": [900.0], "unit": "um"})
    sharp = borders[["domain_1", "domain_2"]].assign(n_edges=30, n_spots=40, expression=0.9, expression_pvalue=0.01)
    sharp = sharp.assign(
        histology=0.7, histology_pvalue=0.2, expression_null=0.7, histology_null=0.8, drawn_by="expression"
    )
    counts = np.arange(2, 6)
    column = {"cluster_key": "multist_domain"}
    named.uns["multist"] = {
        "params": {"n_domains": 7, "losses": {"edges": 0.5}, "shape": np.array([250, 200])},
        "versions": {"multist": "9.9.9", "scanpy": "8.8.8"},
        "histology": {"encoder": "texture", "patch_size": 2.0},
        "decisions": {"multist_domains": np.array(["X holds counts and is read", "no image is normalised"])},
        "interactions": {"pairs": pairs, "borders": borders, "params": column, "versions": {"squidpy": "7.7.7"}},
        "border_sharpness": sharp,
        "n_domains": {"candidates": counts, "bic": -counts, "icl": -counts, "stability": counts / 9, "chosen": 3},
    }
    return named


def test_everything_that_was_computed_is_on_the_page(whole, tmp_path):
    path = mt.report(whole, tmp_path / "new" / "report.html", title="Cortex of Ann")
    seen = Seen(path)
    assert path == tmp_path / "new" / "report.html" and [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert seen.heads == [
        *("Domains", "Markers", "Number of domains", "Where the image counted", "Borders and pairs"),
        *("Pseudotime", "Decisions", "Parameters", "Versions"),
    ]
    for words in (
        "Cortex of Ann",
        "250 spots, 200 genes, 7 domains; image 'hires'",
        "cortex_a",
        "LIG",
        "tl.multist_domains",
        "losses.edges",
    ):
        assert words in seen.text
    for words in ("X holds counts and is read", "9.9.9", "7.7.7", "pp.embed_histology", "Significant tests: 1 of 2"):
        assert words in seen.text
    assert path.stat().st_size < 5e6 and len(seen.images()) == 6


def test_of_domains_alone_the_rest_is_named_with_what_computes_it_and_a_slider_is_on_the_image(named, tmp_path, caplog):
    seen = Seen(mt.report(named, tmp_path / "report.html"))
    assert seen.heads == ["Domains", "Markers", "Left out"]
    for name in ("tl.multist_domains", "tl.interactions", "tl.pseudotime", "Decisions : none are recorded"):
        assert name in seen.text
    assert "gene_symbols" not in caplog.text
    image, domains = seen.images()[:2]
    assert image.size == domains.size and domains.mode == "RGBA"
    alpha = np.asarray(domains)[..., 3]
    assert (alpha == 0).mean() > 0.3 and (alpha == 255).mean() > 0.05
    assert [a["type"] for tag, a in seen.tags if tag == "input"] == ["range"]


def test_a_part_that_was_made_from_other_domains_is_left_out_and_says_so(whole, tmp_path):
    made_from = domain_params(whole[::-1].copy(), "multist_domain")
    # beside it there is nothing else, which would only have to be drawn
    whole.uns["multist"] = {"interactions": whole.uns["multist"]["interactions"] | {"params": made_from}}
    whole.obs = whole.obs[["domain", "multist_domain"]]
    seen = Seen(mt.report(whole, tmp_path / "report.html"))
    assert "Borders and pairs" not in seen.heads and seen.heads[-1] == "Left out"
    assert "made from other domains than obs['multist_domain'] holds now; run tl.interactions again" in seen.text


def test_names_are_names_whatever_is_in_them_and_the_page_asks_nothing_of_the_network(whole, tmp_path):
    old = list(whole.obs["multist_domain"].cat.categories)
    odd = dict(zip(old, ODD, strict=True))
    whole.obs["multist_domain"] = whole.obs["multist_domain"].cat.rename_categories(odd)
    whole.var_names = [f"<b>{name}</b>" for name in whole.var_names]
    held = whole.uns["multist"]
    for frame in (held["interactions"]["pairs"], held["interactions"]["borders"], held["border_sharpness"]):
        for column in frame.columns[frame.columns.str.contains("domain")]:
            frame[column] = frame[column].map(odd)
    held["interactions"]["pairs"]["source"] = "<i>LIG</i>"
    held["params"]["<u>"] = "<script>alert(4)</script>"
    held["decisions"] = ["<script>alert(5)</script>"]
    whole.uns["multist_domain_colors"] = ["red;background:url(http://x.invalid)"] * 7
    seen = Seen(mt.report(whole, tmp_path / "report.html", title="<script>alert(3)</script>"))
    assert [tag for tag, _ in seen.tags].count("script") == 1 and not {"b", "u", "i"} & {
        tag for tag, attributes in seen.tags if "style" not in attributes
    }
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    for name in (
        *ODD,
        "<i>LIG</i>",
        "<script>alert(3)</script>",
        "<script>alert(4)</script>",
        "<script>alert(5)</script>",
    ):
        assert name in seen.text
    for tag, attributes in seen.tags:
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, name)
    assert "url(" not in seen.source and "http://" not in seen.source and "https://" not in seen.source
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_a_column_of_text_is_no_confidence(named, tmp_path):
    named.obs["multist_confidence"] = "high"
    seen = Seen(mt.report(named, tmp_path / "report.html"))
    assert "Domains" in seen.heads and "confidence" not in seen.text


def test_without_an_image_there_is_no_slider(named, tmp_path):
    seen = Seen(mt.report(named, tmp_path / "report.html", image_key=None))
    assert not any(tag in ("input", "script") for tag, _ in seen.tags) and "no image" in seen.text
    assert len(seen.images()) == 1 and seen.images()[0].mode == "RGB"


def test_markers_are_the_genes_of_the_domain_by_the_names_that_are_asked_for(named, tmp_path):
    rim = (named.obs["domain"] == "rim").to_numpy()
    named.X = named.X.toarray()
    named.X[rim, 7] += 40
    named.var["symbol"] = [f"symbol{i}" for i in range(named.n_vars)]
    before = named.X.copy()
    seen = Seen(mt.report(named, tmp_path / "report.html", gene_symbols="symbol", n_markers=2))
    row = next(row for row in re.findall(r"<tr>.*?</tr>", seen.source) if ">rim<" in row and "symbol" in row)
    assert re.findall(r"symbol\d+", row)[0] == "symbol7" and len(re.findall(r"symbol\d+", row)) == 2
    assert np.array_equal(named.X, before) and set(named.uns) <= {
        "spatial",
        "interactions",
        "decoy_interactions",
        "multist_domain_colors",
    }


def test_identifiers_on_the_page_are_said_with_the_column_of_symbols(named, tmp_path, caplog):
    named.var["symbol"], named.var["chromosome"], named.var["n_cells"] = named.var_names, "1", np.arange(named.n_vars)
    named.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(named.n_vars)]
    assert identifiers_advice(named) == ""
    named.var_names = named.var["gene_ids"].tolist()
    mt.report(named, tmp_path / "report.html")
    assert "such as 'ENSG00000000000'; gene_symbols takes a column, and those of var are: 'symbol'" in caplog.text
    del named.var["symbol"]
    assert "gene_symbols takes a column, and var has none yet" in identifiers_advice(named)


def test_many_spots_are_sampled_and_those_without_a_domain_are_counted(named, tmp_path, monkeypatch):
    monkeypatch.setattr("multist._report.markers._MOST_SPOTS", 70)
    named.obs.loc[named.obs_names[:13], "multist_domain"] = np.nan
    seen = Seen(mt.report(named, tmp_path / "report.html"))
    assert re.search(r"Tested on a sample of (\d+) spots", seen.text)[1] in {str(n) for n in range(40, 71)}
    assert "13 spots are in none" in seen.text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda adata: ad.AnnData(obs=adata.obs, obsm=adata.obsm, uns=adata.uns), "the table has no genes"),
        (
            lambda adata: ad.AnnData(-np.asarray(adata.X.todense()) - 0.5, obs=adata.obs, obsm=adata.obsm),
            "there is no expression to test",
        ),
    ],
)
def test_without_expression_markers_are_left_out(named, tmp_path, change, why):
    seen = Seen(mt.report(change(named), tmp_path / "report.html"))
    assert "Markers" not in seen.heads and why in seen.text and " 0 genes" not in seen.text


def test_several_sections_and_spatialdata(tmp_path):
    sdata = mt.datasets.layered_tissue(n_spots=100, n_genes=100, image_size=200, n_sections=2)
    table = sdata.tables["table"]
    table.obs["mine"] = table.obs["domain"].cat.rename_categories(lambda name: f"my {name}")
    seen = Seen(mt.report(sdata, tmp_path / "report.html", cluster_key="mine"))
    assert (
        "2 sections, 200 spots" in seen.text and "spots_section1, spots_section2" in seen.text and "my rim" in seen.text
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "second"}, KeyError, "cluster_key 'second_domain' not found in obs; found: .*tl.multist_domains"),
        ({"cluster_key": "layer"}, KeyError, "cluster_key 'layer' not found"),
        ({"cluster_key": "score"}, ValueError, r"obs\['score'\] holds measurements"),
        ({"n_markers": 0}, ValueError, "at least 1"),
        ({"gene_symbols": "symbol"}, KeyError, "gene_symbols 'symbol' not found"),
        ({"image_key": "full"}, KeyError, "'full' not found"),
    ],
)
def test_what_cannot_be_shown_is_named_and_an_older_page_stays(named, tmp_path, options, error, message):
    path = tmp_path / "report.html"
    path.write_text("older")
    named.obs["score"] = np.linspace(0, 1, named.n_obs)
    with pytest.raises(error, match=message):
        mt.report(named, path, **options)
    assert path.read_text() == "older" and [p.name for p in tmp_path.iterdir()] == ["report.html"]
