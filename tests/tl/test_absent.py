"""Whoever asks for what is not there yet is told which function makes it, in one wording."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.access import read_graph

PAIRS = pd.DataFrame({"source": ["G0"], "target": ["G1"]})


def section(*made: str) -> ad.AnnData:
    """36 spots with counts, and what is named of a result."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:6, :6].reshape(2, -1)
    adata = ad.AnnData(rng.poisson(3, (36, 4)).astype(np.float32), obsm={"spatial": np.c_[x, y] * 10.0})
    adata.var_names, adata.obs_names = [f"G{i}" for i in range(4)], [f"s{i}" for i in range(36)]
    adata.obs["n_counts"] = 1
    for name in made:
        if name.startswith("X_"):
            adata.obsm[name] = rng.normal(size=(36, 3))
        else:
            adata.obs[name] = pd.Categorical(np.where(x < 3, "a", "b")) if name.endswith("domain") else x / 5
    return adata


DOMAINS = "Run tl.multist_domains first"
ASKED = {
    "pl.domains": (DOMAINS, lambda: mt.pl.domains(section())),
    "pl.domains, weights": (DOMAINS, lambda: mt.pl.domains(section(), "multist_image_weight")),
    "pl.domains, confidence": (DOMAINS, lambda: mt.pl.domains(section(), "multist_confidence")),
    "pl.domains, pseudotime": ("Run tl.pseudotime first", lambda: mt.pl.domains(section(), "multist_pseudotime")),
    "pl.domains, outline": (DOMAINS, lambda: mt.pl.domains(section(), "n_counts", outline="multist_domain")),
    "pl.domains, truth": (DOMAINS, lambda: mt.pl.domains(section(), "n_counts", truth_key="multist_domain")),
    "pl.domains, strokes": (
        "Run pp.read_labels or pp.labels_from_shapes first",
        lambda: mt.pl.domains(section("multist_domain"), labels_key="annotation"),
    ),
    "pl.modality_weights": (DOMAINS, lambda: mt.pl.modality_weights(section())),
    "pl.modality_weights, domains": (DOMAINS, lambda: mt.pl.modality_weights(section("multist_image_weight"))),
    "pl.attention": (DOMAINS, lambda: mt.pl.attention(section("multist_domain"), "s0")),
    "pl.pseudotime": ("Run tl.pseudotime first", lambda: mt.pl.pseudotime(section("multist_domain"))),
    "pl.pseudotime, domains": (DOMAINS, lambda: mt.pl.pseudotime(section("multist_pseudotime"))),
    "pl.borders": ("Run tl.interactions first", lambda: mt.pl.borders(section("multist_domain"))),
    "pl.n_domains": ("Run tl.multist_domains first, with n_domains='auto'", lambda: mt.pl.n_domains(section())),
    "tl.cluster_domains": (DOMAINS, lambda: mt.tl.cluster_domains(section(), 2)),
    "tl.multist_domains, strokes": (
        "Run pp.read_labels or pp.labels_from_shapes first",
        lambda: mt.tl.multist_domains(section(), labels_key="annotation"),
    ),
    "tl.suggest_labels": (
        "Run tl.multist_domains first, with labels_key=",
        lambda: mt.tl.suggest_labels(section("multist_domain")),
    ),
    "tl.pseudotime": (DOMAINS, lambda: mt.tl.pseudotime(section("multist_domain"))),
    "tl.pseudotime, domains": (DOMAINS, lambda: mt.tl.pseudotime(section("X_multist"))),
    "tl.border_sharpness": (DOMAINS, lambda: mt.tl.border_sharpness(section("X_pca"))),
    "tl.interactions": (DOMAINS, lambda: mt.tl.interactions(section(), PAIRS)),
    "tl.ligrec": (DOMAINS, lambda: mt.tl.ligrec(section(), pairs=PAIRS)),
    "tl.ligrec_result": ("Run tl.interactions first", lambda: mt.tl.ligrec_result(section())),
    "tl.ligrec_result, ligrec": ("Run tl.ligrec first", lambda: mt.tl.ligrec_result(section(), of="ligrec")),
    "tl.domain_shapes": (DOMAINS, lambda: mt.tl.domain_shapes(section())),
    "tl.write_domains, csv": (DOMAINS, lambda: mt.tl.write_domains(section(), "x.csv")),
    "tl.write_domains, geojson": (DOMAINS, lambda: mt.tl.write_domains(section(), "x.geojson")),
    "report": (DOMAINS, lambda: mt.report(section(), "x.html")),
    "domains by another name": (
        "Run tl.multist_domains first, or name 'coarse_domain'",
        lambda: mt.tl.interactions(section("coarse_domain", "coarse_confidence", "my_domain"), PAIRS),
    ),
    "the graph": ("Run pp.spatial_graph first", lambda: read_graph(section())),
    "another result": (
        "Run tl.multist_domains first, with key_added='fine'",
        lambda: mt.pl.modality_weights(section("multist_image_weight"), "fine"),
    ),
    "another suggestion": (
        "Run tl.multist_domains first, with labels_key= and key_added='fine'",
        lambda: mt.tl.suggest_labels(section(), key="fine"),
    ),
    "a slip": (
        "Did you mean 'multist_domain'?",
        lambda: mt.tl.domain_shapes(section("multist_domain"), "multist_doman"),
    ),
    "a slip in a gene": ("Did you mean 'G1'?", lambda: mt.pl.domains(section(), "G1a")),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_not_there_yet_names_what_makes_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    advice, call = ASKED[name]
    with pytest.raises(KeyError) as caught:
        call()
    message = caught.value.args[0]
    assert message.endswith(f"{advice}") and " not found in " in message
    assert not list(tmp_path.iterdir())


def test_a_name_that_nothing_here_makes_has_no_such_advice():
    with pytest.raises(KeyError, match="cluster_key 'leiden' not found in obs; found: 'n_counts'") as caught:
        mt.tl.domain_shapes(section(), "leiden")
    assert "Run" not in str(caught.value) and "mean" not in str(caught.value)


LAYERS_UNREAD = {
    "tl.multist_domains": lambda adata: mt.tl.multist_domains(adata, 2, layer="cnts", use_image=False),
    "MultiST": lambda adata: mt.MultiST().fit(adata, layer="cnts", use_image=False),
    "pl.domains": lambda adata: mt.pl.domains(adata, layer="cnts", show=False),
    "pl.pseudotime": lambda adata: mt.pl.pseudotime(adata, genes=[], layer="cnts", show=False),
    "report": lambda adata: mt.report(adata, "x.html", layer="cnts"),
}


@pytest.mark.parametrize("name", LAYERS_UNREAD)
def test_a_layer_that_is_not_there_is_refused_also_where_it_is_not_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adata = section("X_pca", "multist_domain", "multist_pseudotime")
    adata.layers["counts"] = adata.X
    with pytest.raises(KeyError, match="layer 'cnts' not found in layers; found: .*Did you mean 'counts'"):
        LAYERS_UNREAD[name](adata)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_is_not_there_is_refused_by_a_fitted_model():
    adata = section("X_pca")
    model = mt.MultiST(config=mt.tl.MultiSTConfig(epochs=0)).fit(adata, use_image=False)
    model.cluster(adata, 2)
    for method in (model.embed, model.predict):
        with pytest.raises(KeyError, match="layer 'cnts' not found in layers; found: none"):
            method(adata, layer="cnts")


@pytest.mark.parametrize(
    "call",
    [
        lambda adata: mt.pl.domains(adata, "MBP"),
        lambda adata: mt.tl.interactions(adata, PAIRS),
        lambda adata: mt.tl.ligrec(adata, pairs=PAIRS),
    ],
)
def test_a_table_without_genes_is_said_to_have_none(call):
    with pytest.raises((KeyError, ValueError), match="the table has no genes"):
        call(section("multist_domain")[:, :0].copy())
