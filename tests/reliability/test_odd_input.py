"""What is odd is refused by name, and the object is as before: values, order, types, flags, views, sealed memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt

PAIRS = pd.DataFrame({"source": ["gene0", "gene1"], "target": ["gene2", "gene3"]})


class Odd(NamedTuple):
    """One case: how the table is spoilt, what is called, and what the user reads."""

    spoil: Callable[[ad.AnnData], Any]
    call: Callable[[ad.AnnData], Any]
    error: type[Exception]
    message: str


def domains(n_domains: Any = 3, **options: Any) -> Callable[[ad.AnnData], Any]:
    return lambda table: mt.tl.multist_domains(table, n_domains, **{"device": "cpu"} | options)


def guided(**options: Any) -> Callable[[ad.AnnData], Any]:
    return domains(None, **{"labels_key": "annotation"} | options)


def places(change: Callable[[np.ndarray], Any]) -> Callable[[ad.AnnData], None]:
    def spoil(table: ad.AnnData) -> None:
        table.obsm["spatial"] = change(table.obsm["spatial"])

    return spoil


def cells(change: Callable[[np.ndarray], Any]) -> Callable[[ad.AnnData], None]:
    """Places without an image."""

    def spoil(table: ad.AnnData) -> None:
        del table.uns["spatial"]
        places(change)(table)

    return spoil


def counts(change: Callable[[Any], Any]) -> Callable[[ad.AnnData], None]:
    def spoil(table: ad.AnnData) -> None:
        table.X = change(table.X)

    return spoil


def held(group: str, name: str, make: Callable[[int], Any]) -> Callable[[ad.AnnData], None]:
    """An entry of a table, made from the number of spots."""

    def spoil(table: ad.AnnData) -> None:
        getattr(table, group)[name] = make(table.n_obs)

    return spoil


def image(change: Callable[[np.ndarray], Any]) -> Callable[[ad.AnnData], None]:
    def spoil(table: ad.AnnData) -> None:
        images = table.uns["spatial"]["tissue"]["images"]
        images["hires"] = change(images["hires"])

    return spoil


def factor(name: str, value: Any) -> Callable[[ad.AnnData], None]:
    return lambda table: table.uns["spatial"]["tissue"]["scalefactors"].update({name: value})


def names(change: Callable[[list[str]], list[str]]) -> Callable[[ad.AnnData], None]:
    def spoil(table: ad.AnnData) -> None:
        table.obs_names = change(list(table.obs_names))

    return spoil


def twice(name: str, group: str = "obs") -> Callable[[ad.AnnData], None]:
    """A column twice, as ``pd.concat`` makes it."""

    def spoil(table: ad.AnnData) -> None:
        frame = getattr(table, group)
        frame = frame if name in frame else frame.assign(**{name: "a"})
        setattr(table, group, pd.concat([frame, frame[[name]]], axis=1))

    return spoil


def one_nan(values: Any) -> np.ndarray:
    dense = values.toarray()
    dense[3, 4] = np.nan
    return dense


def nothing(table: ad.AnnData) -> None:
    pass


def chain(n: int) -> sparse.csr_matrix:
    return sparse.eye(n, k=1, format="csr")


CASES = {
    # places
    "no places": Odd(lambda t: t.obsm.pop("spatial"), domains(), KeyError, r"obsm\['spatial'\] not found"),
    "all at one place": Odd(
        places(lambda x: x * 0 + 50),
        domains(),
        ValueError,
        r"all 144 spots of section 'tissue' lie at one place, \(50, 50\)",
    ),
    "all at one place, cells": Odd(cells(lambda x: x * 0 + 7), domains(), ValueError, "all 144 spots lie at one place"),
    "one place, for a graph": Odd(
        cells(lambda x: x * 0), mt.pp.spatial_graph, ValueError, "lie at one place.*give the coordinates"
    ),
    "one place but for rounding": Odd(cells(lambda x: 1e9 + x * 1e-9), domains(), ValueError, "lie at one place"),
    "a place is NaN": Odd(
        places(lambda x: np.where(np.arange(288).reshape(x.shape) == 7, np.nan, x)),
        domains(),
        ValueError,
        "NaN or infinite coordinates for 1 of 144 observations .*'spot3'",
    ),
    "a place is infinite": Odd(
        places(lambda x: np.where(x > 260, np.inf, x)),
        domains(),
        ValueError,
        "NaN or infinite coordinates for 23 of 144",
    ),
    "places too far": Odd(places(lambda x: x * 1e300), domains(use_image=False), ValueError, "coordinates as large as"),
    "places are words": Odd(
        places(lambda x: np.full(x.shape, "left")),
        domains(),
        ValueError,
        r"obsm\['spatial'\] does not hold numbers: .*'left'",
    ),
    "places are complex": Odd(places(lambda x: x + 1j), domains(), ValueError, "holds complex128, not coordinates"),
    "places are truths": Odd(places(lambda x: x > 100), domains(), ValueError, "holds bool, not coordinates"),
    "places are dates": Odd(
        places(lambda x: x.astype("datetime64[s]")), domains(), ValueError, "holds datetime64.*, not coordinates"
    ),
    "places are masked": Odd(
        places(lambda x: np.ma.masked_greater(x, 260)), domains(), ValueError, "NaN or infinite coordinates for 23"
    ),
    "four coordinates": Odd(
        places(lambda x: np.hstack([x, x])), domains(), ValueError, r"shape \(144, 4\); expected \(n_obs, 2\)"
    ),
    "one coordinate": Odd(places(lambda x: x[:, :1]), domains(), ValueError, r"shape \(144, 1\); expected"),
    "places off the image": Odd(
        places(lambda x: -x),
        domains(),
        ValueError,
        "144 of 144 spots of section 'tissue' lie off image 'hires'.*check the scale factor",
    ),
    "a line to triangulate": Odd(
        cells(lambda x: np.column_stack([np.arange(144.0), np.zeros(144)])),
        lambda t: mt.pp.spatial_graph(t, delaunay=True),
        ValueError,
        "cannot be triangulated; use delaunay=False",
    ),
    # counts
    "a count is NaN": Odd(counts(one_nan), domains(), ValueError, "X holds NaN or infinite values"),
    "a gene is infinite": Odd(
        counts(lambda x: np.where(np.arange(30) == 2, np.inf, x.toarray())),
        domains(),
        ValueError,
        "X holds NaN or infinite",
    ),
    "counts with decimals": Odd(
        counts(lambda x: x / 3), domains(), ValueError, "decimals that are neither counts nor log-normalised"
    ),
    "no counts": Odd(counts(lambda x: None), domains(), ValueError, "X is empty; pass layer="),
    "all counts zero": Odd(counts(lambda x: x * 0), domains(), ValueError, "0 genes found in enough of them"),
    "counts beyond 32 bits": Odd(
        counts(lambda x: x.toarray() * 1e35), domains(use_image=False), ValueError, "as large as .*32 bits"
    ),
    "unknown layer": Odd(nothing, domains(layer="counts"), KeyError, "layer 'counts' not found in layers; found: none"),
    "no components": Odd(
        nothing,
        lambda t: mt.pp.embed_expression(t, n_comps=0),
        ValueError,
        "n_comps must be a whole number of at least 1",
    ),
    "unknown transform": Odd(
        nothing,
        lambda t: mt.pp.embed_expression(t, transform="cube"),
        ValueError,
        "transform must be one of .*got 'cube'",
    ),
    # names
    "two spots of one name": Odd(
        names(lambda n: ["twice", "twice", *n[2:]]), domains(), ValueError, "1 duplicate name .*obs_names_make_unique"
    ),
    **{
        f"{why} twice": Odd(
            twice(name), call, ValueError, rf"data\.obs has several columns named '{name}'.*keep the first"
        )
        for why, name, call in (
            ("sections", "truth", domains(2, library_key="truth")),
            ("strokes", "annotation", guided()),
            ("a column that nobody asked for", "depth", domains()),
            ("a column that embeddings do not need", "depth", mt.pp.embed_expression),
            ("domains", "multist_domain", lambda t: mt.pl.domains(t)),
            ("domains with borders", "truth", lambda t: mt.tl.border_sharpness(t, cluster_key="truth", n_null=38)),
            ("domains for pairs", "truth", lambda t: mt.tl.interactions(t, PAIRS, cluster_key="truth")),
            ("domains to be written", "truth", lambda t: mt.tl.write_domains(t, "no.csv", cluster_key="truth")),
            ("time", "multist_pseudotime", lambda t: mt.pl.pseudotime(t)),
        )
    },
    "names of genes twice": Odd(
        twice("symbol", "var"),
        lambda t: mt.tl.interactions(t, PAIRS, gene_symbols="symbol"),
        ValueError,
        r"data\.var has several columns named 'symbol'",
    ),
    "unknown sections": Odd(
        nothing, domains(library_key="slide"), KeyError, "library_key 'slide' not found in obs; found: 'truth'"
    ),
    "a spot of no section": Odd(
        held("obs", "slide", lambda n: [None] + ["a"] * (n - 1)),
        domains(library_key="slide"),
        ValueError,
        "names no section for 1 of 144",
    ),
    "table of an AnnData": Odd(
        nothing, domains(table_key="table"), ValueError, "table_key='table' chooses a table of a SpatialData"
    ),
    "name that no file holds": Odd(nothing, domains(key_added="a/b"), ValueError, "'a/b' cannot be stored"),
    "empty name": Odd(nothing, domains(key_added=""), ValueError, "'' cannot be stored"),
    "no name": Odd(nothing, domains(key_added=None), ValueError, "None cannot be stored"),
    "entry of somebody else": Odd(
        held("uns", "multist", lambda n: "my notes"),
        domains(),
        ValueError,
        r"uns\['multist'\] is of type str .*rename it",
    ),
    "decisions of somebody else": Odd(
        held("uns", "multist", lambda n: {"decisions": [1]}), domains(), ValueError, r"\['decisions'\] is of type list"
    ),
    "True domains": Odd(nothing, domains(True), TypeError, "n_domains must be .*got True"),
    # numbers of domains, seeds, devices
    **{
        f"{n!r} domains": Odd(nothing, domains(n), error, "n_domains must be")
        for n, error in {
            0: ValueError,
            -1: ValueError,
            145: ValueError,
            2.5: TypeError,
            "seven": ValueError,
            None: TypeError,
            float("nan"): TypeError,
            (2, 900): ValueError,
            (): TypeError,
        }.items()
    },
    **{
        f"seed {seed!r}": Odd(nothing, domains(random_state=seed), error, "random_state must be")
        for seed, error in {-1: ValueError, 1.5: TypeError, None: TypeError, 2**40: ValueError, "0": TypeError}.items()
    },
    "unknown device": Odd(
        nothing, domains(device="abacus"), ValueError, "device must be 'auto' or a name torch knows.*'abacus'"
    ),
    "unknown device for an encoder that needs none": Odd(
        nothing, lambda t: mt.pp.embed_histology(t, device="abacus"), ValueError, "device must be .*'abacus'"
    ),
    "device that is not there": Odd(
        nothing, domains(device="cuda:99"), ValueError, "device 'cuda:99' is not there: torch finds"
    ),
    "no configuration": Odd(
        nothing, domains(config="fast"), TypeError, "config must be a MultiSTConfig or None; got 'fast'"
    ),
    "one as True": Odd(nothing, domains(use_image=1), ValueError, "use_image must be True, False or 'auto'; got 1"),
    # strokes
    "unknown strokes": Odd(nothing, guided(labels_key="drawn"), KeyError, "labels_key 'drawn' not found in obs"),
    "strokes on no spot": Odd(
        held("obs", "drawn", lambda n: pd.Categorical([None] * n, ["a"])),
        guided(labels_key="drawn"),
        ValueError,
        "names no spot; draw a stroke",
    ),
    "strokes of one class": Odd(
        held("obs", "drawn", lambda n: ["a"] + [None] * (n - 1)),
        guided(labels_key="drawn"),
        ValueError,
        "only 'a' is named",
    ),
    "measurements as strokes": Odd(
        nothing, guided(labels_key="depth"), ValueError, r"obs\['depth'\] holds measurements.*not names"
    ),
    "fewer domains than strokes": Odd(
        nothing,
        domains(2, labels_key="annotation"),
        ValueError,
        "3 classes .*n_domains is 2: leave it out, or give",
    ),
    "a vote over strokes": Odd(nothing, guided(refine=True), ValueError, "refine=True is a vote"),
    "nothing is unlabelled": Odd(
        nothing, guided(unlabeled_category="none"), KeyError, "unlabeled_category 'none' is no value"
    ),
    "trust of nothing": Odd(nothing, guided(trust=0, use_image=False), ValueError, "above 0 and at most 1; got 0"),
    "trust that is NaN": Odd(nothing, guided(trust=float("nan"), use_image=False), ValueError, "at most 1; got nan"),
    # embeddings and graphs
    "unknown embedding": Odd(nothing, domains(use_rep="X_umap"), KeyError, "use_rep 'X_umap' not found in obsm"),
    "embedding of NaN": Odd(
        held("obsm", "X_pca", lambda n: np.full((n, 5), np.nan)),
        domains(),
        ValueError,
        r"obsm\['X_pca'\] has values that are not finite",
    ),
    "embedding of words": Odd(
        held("obsm", "X_pca", lambda n: np.full((n, 5), "a")),
        domains(),
        ValueError,
        r"obsm\['X_pca'\] holds <U1, not numbers",
    ),
    "embedding without columns": Odd(
        held("obsm", "X_pca", lambda n: np.ones((n, 0))), domains(), ValueError, r"obsm\['X_pca'\] has no columns"
    ),
    "embedding beyond 32 bits": Odd(
        held("obsm", "X_pca", lambda n: np.eye(n, 5) * 1e200), domains(), ValueError, "as large as 1e"
    ),
    "embedding of three axes": Odd(
        held("obsm", "X_pca", lambda n: np.ones((n, 5, 2))), domains(), ValueError, r"shape is \(144, 5, 2\)"
    ),
    "infinite histology": Odd(
        held("obsm", "X_histology", lambda n: np.full((n, 5), np.inf)),
        domains(),
        ValueError,
        r"obsm\['X_histology'\] has values that are not finite",
    ),
    "graph of negative weights": Odd(
        held("obsp", "spatial_connectivities", lambda n: -chain(n)), domains(), ValueError, "negative weights"
    ),
    "graph of words": Odd(
        held("obsp", "spatial_connectivities", lambda n: np.full((n, n), "a")),
        domains(),
        ValueError,
        r"obsp\['spatial_connectivities'\] holds <U1, not numbers",
    ),
    "graph across sections": Odd(
        lambda t: (
            held("obsp", "spatial_connectivities", chain)(t),
            held("obs", "slide", lambda n: np.arange(n) // 72)(t),
        ),
        domains(library_key="slide", use_image=False),
        ValueError,
        "edges between different sections",
    ),
    "no neighbours asked": Odd(
        nothing,
        lambda t: mt.pp.spatial_graph(t, n_neighbors=0),
        ValueError,
        "n_neighbors must be a whole number of at least 1",
    ),
    "unknown lattice": Odd(
        nothing, lambda t: mt.pp.spatial_graph(t, coord_type="hex"), ValueError, "coord_type must be .*'hex'"
    ),
    "unknown alignment": Odd(
        nothing, lambda t: mt.pp.spatial_graph(t, aligned_key="paste"), KeyError, "aligned_key 'paste' not found"
    ),
    # images
    "unknown image": Odd(nothing, domains(image_key="mid"), KeyError, "'mid' not found .*found: 'hires'"),
    "no image": Odd(image(lambda i: None), domains(use_image=True), KeyError, "no image for section 'tissue'"),
    "image of two channels": Odd(image(lambda i: i[..., :2]), domains(), ValueError, "image 'hires' has 2 channels"),
    "image with channels first": Odd(image(lambda i: i.transpose(2, 0, 1)), domains(), ValueError, "has 320 channels"),
    "image of NaN": Odd(image(lambda i: i * np.nan), domains(), ValueError, "do not tell how large white is"),
    "image without rows": Odd(image(lambda i: i[:0]), domains(), ValueError, r"image 'hires' has shape \(0, 320, 3\)"),
    "image of one pixel": Odd(image(lambda i: i[:1, :1]), domains(), ValueError, "lie off image 'hires'"),
    "name of a file as image": Odd(image(lambda i: "he.png"), domains(), ValueError, "image 'hires' has shape"),
    "image of objects": Odd(image(lambda i: i.astype(object)), domains(), ValueError, "holds values of type object"),
    "no tissue to normalise": Odd(
        image(lambda i: i * 0 + 255), mt.pp.normalize_histology, ValueError, "no tissue was found in image 'hires'"
    ),
    "scale of zero": Odd(
        factor("tissue_hires_scalef", 0), domains(), ValueError, "'tissue_hires_scalef'.* must be positive; it is 0"
    ),
    "scale that is a word": Odd(factor("tissue_hires_scalef", "half"), domains(), ValueError, "must be positive"),
    "scale a hundred times": Odd(factor("tissue_hires_scalef", 100), domains(), ValueError, "check the scale factor"),
    "spots wider than the image": Odd(
        factor("spot_diameter_fullres", 1e9), domains(), ValueError, "a spot is 1000000000 pixels wide"
    ),
    "no scale": Odd(
        lambda t: t.uns["spatial"]["tissue"]["scalefactors"].pop("tissue_hires_scalef"),
        domains(),
        KeyError,
        "'tissue_hires_scalef' not found",
    ),
    "images without a section": Odd(
        lambda t: t.uns.update(spatial=t.uns["spatial"]["tissue"]), domains(), ValueError, "belong to a section"
    ),
    "unknown stain method": Odd(
        nothing, lambda t: mt.pp.normalize_histology(t, "mirror"), ValueError, "method 'mirror' is unknown; known"
    ),
    "foreign stain reference": Odd(
        nothing, lambda t: mt.pp.normalize_histology(t, reference={"a": 1}), ValueError, r"unknown fields \['a'\]"
    ),
    "patch of no width": Odd(
        nothing, lambda t: mt.pp.embed_histology(t, patch_size=0), ValueError, "patch_size must be positive; got 0"
    ),
    "micrometres unknown": Odd(
        nothing,
        lambda t: mt.pp.embed_histology(t, patch_unit="um"),
        ValueError,
        "section 'tissue' does not say: give microns_per_pixel",
    ),
    "unknown encoder": Odd(
        nothing, lambda t: mt.pp.embed_histology(t, "resnet"), ValueError, "encoder 'resnet' is unknown; built in"
    ),
    "encoder of one number": Odd(
        nothing,
        lambda t: mt.pp.embed_histology(t, lambda x: x.mean(), device="cpu"),
        ValueError,
        r"must return \(n, d\) for n patches",
    ),
    "encoder of NaN": Odd(
        nothing,
        lambda t: mt.pp.embed_histology(t, lambda x: x.mean((2, 3)) * np.nan, device="cpu"),
        ValueError,
        "returned values that are not finite",
    ),
    # what follows domains, on a finished table
    "unknown root": Odd(
        nothing, lambda t: mt.tl.pseudotime(t, "hilum"), KeyError, "root 'hilum' is neither a domain nor an observation"
    ),
    "space alone": Odd(
        nothing,
        lambda t: mt.tl.pseudotime(t, "0", spatial_weight=1),
        ValueError,
        "spatial_weight must be at least 0 and below 1",
    ),
    "too few lines": Odd(
        nothing,
        lambda t: mt.tl.border_sharpness(t, n_null=1),
        ValueError,
        "n_null must be a whole number of at least 38",
    ),
    "domains unknown": Odd(
        nothing,
        lambda t: mt.tl.border_sharpness(t, cluster_key="leiden"),
        KeyError,
        "cluster_key 'leiden' not found in obs",
    ),
    "one domain has no border": Odd(
        held("obs", "one", lambda n: ["a"] * n),
        lambda t: mt.tl.border_sharpness(t, cluster_key="one"),
        ValueError,
        "no two domains .* touch",
    ),
    "ligands twice": Odd(
        nothing,
        lambda t: mt.tl.interactions(t, pd.concat([PAIRS, PAIRS[["source"]]], axis=1)),
        ValueError,
        "pairs has several columns named 'source'",
    ),
    "a gene that is meant by two": Odd(
        lambda t: setattr(t, "var_names", ["gene0", "gene0", *t.var_names[2:]]),
        lambda t: mt.tl.interactions(t, PAIRS),
        ValueError,
        "'gene0' names several genes .*sum_genes",
    ),
    "a gene of two, plotted": Odd(
        lambda t: setattr(t, "var_names", ["gene0", "gene0", *t.var_names[2:]]),
        lambda t: mt.pl.domains(t, "gene0"),
        ValueError,
        "'gene0' names several genes",
    ),
    "no pairs": Odd(nothing, lambda t: mt.tl.interactions(t, PAIRS[:0]), ValueError, "holds no pair"),
    "pairs by other names": Odd(
        nothing,
        lambda t: mt.tl.interactions(t, PAIRS.rename(columns={"source": "a"})),
        ValueError,
        "needs the columns 'source' and 'target'",
    ),
    "pairs of other genes": Odd(
        nothing,
        lambda t: mt.tl.interactions(t, PAIRS.replace({"gene0": "x", "gene1": "y"})),
        ValueError,
        "none of 2 pairs has both its genes",
    ),
    "no permutation": Odd(
        nothing,
        lambda t: mt.tl.ligrec(t, pairs=PAIRS, n_perms=0),
        ValueError,
        "n_perms must be a whole number of at least 1",
    ),
    "shapes of an AnnData": Odd(
        nothing,
        lambda t: mt.tl.domain_shapes(t, shapes_key="a"),
        ValueError,
        "shapes_key names shapes of a SpatialData",
    ),
    "no domain anywhere": Odd(
        held("obs", "none", lambda n: pd.Categorical([None] * n, ["a"])),
        lambda t: mt.tl.domain_shapes(t, "none"),
        ValueError,
        "names no domain for any spot",
    ),
    "suggestions without strokes": Odd(
        nothing, mt.tl.suggest_labels, KeyError, "multist_probability.* not found in obsm"
    ),
    "table for a spreadsheet": Odd(
        nothing, lambda t: mt.tl.write_domains(t, "x.xlsx"), ValueError, "ends in '.xlsx'; give"
    ),
    "colour unknown": Odd(nothing, lambda t: mt.pl.domains(t, "leiden"), KeyError, "color 'leiden' not found"),
    "curve unknown": Odd(nothing, mt.pl.n_domains, KeyError, "'n_domains' not found in uns"),
    "embedding of no model": Odd(nothing, lambda t: mt.MultiST().embed(t), RuntimeError, "not fitted: call .fit"),
    "number of no embedding": Odd(
        nothing, lambda t: mt.tl.cluster_domains(t, 3, use_rep="X_umap"), KeyError, "use_rep 'X_umap' not found"
    ),
}
FINISHED = list(CASES)[list(CASES).index("unknown root") :]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_odd_input_is_refused_by_name_and_left_alone(name, request, untouched, sealed):
    case, table = CASES[name], request.getfixturevalue("finished" if name in FINISHED else "table")
    case.spoil(table)
    sealed(table)
    with untouched(table), pytest.raises(case.error, match=case.message):
        case.call(table)


NO_VIEW = {"places are masked", *(name for name in CASES if name.endswith("twice"))}
"""Of these anndata itself makes no view."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in {*FINISHED, *NO_VIEW}][::6])
@pytest.mark.filterwarnings("error::anndata.ImplicitModificationWarning")
def test_a_view_stays_a_view_and_its_parent_as_it_was(name, table, untouched):
    CASES[name].spoil(table)
    view = table[:]
    with untouched(table), untouched(view), pytest.raises(CASES[name].error):
        CASES[name].call(view)


def test_there_are_many_cases():
    assert len(CASES) >= 60 and len({case.message for case in CASES.values()}) >= 60


GOOD = {
    "whole numbers": counts(lambda x: x.astype(np.int64)),
    "bytes": counts(lambda x: x.toarray().astype(np.uint8)),
    "half precision": counts(lambda x: x.toarray().astype(np.float16)),
    "dense, column after column": counts(lambda x: np.asfortranarray(x.toarray())),
    "compressed columns": counts(lambda x: x.tocsc()),
    "an empty spot": counts(lambda x: sparse.csr_matrix(x.multiply((np.arange(144) != 5)[:, None]))),
    "sparse places": places(sparse.csr_matrix),
    "whole places": places(np.int32),
    "places in a column-major array": places(np.asfortranarray),
    "numbers as names": names(lambda n: [str(i) for i in range(len(n))]),
    "genes of one name": lambda t: setattr(t, "var_names", ["gene"] * t.n_vars),
    "sections by number": held("obs", "slide", lambda n: np.arange(n) // 72),
}


@pytest.mark.slow
def test_sealed_memory_is_read_only(finished, sealed):
    finished.var["n_cells"] = np.arange(finished.n_vars)
    sealed(finished)
    held = {"X": finished.X.data, "places": finished.obsm["spatial"][0], "n_cells": finished.var["n_cells"].array}
    held |= {name: finished.obs[name].array for name in ("truth", "depth", "multist_domain", "multist_confidence")}
    for values in held.values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_what_is_odd_but_sound_works_on_memory_that_is_read_only(name, table, quick, sealed, looked_at):
    GOOD[name](table)
    sealed(table)
    before = looked_at(table)
    section = {"library_key": "slide"} if "slide" in table.obs else {}
    mt.tl.multist_domains(table, 3, use_image=False, config=quick, device="cpu", **section)
    assert table.obs["multist_domain"].nunique() == 3
    after = looked_at(table)
    assert after["X"] == before["X"] and after["var"] == before["var"]
    for group in ("obsm", "layers", "uns"):
        assert {k: v for k, v in after[group].items() if k in before[group] and k != "keys"} == {
            k: v for k, v in before[group].items() if k != "keys"
        }
