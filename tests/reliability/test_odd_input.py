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


def nothing(table: ad.AnnData) -> None:
    pass


class Odd(NamedTuple):
    """One case: what is called, what the user reads, and how the table is spoilt before."""

    call: Callable[[ad.AnnData], Any]
    message: str
    error: type[Exception] = ValueError
    spoil: Callable[[ad.AnnData], Any] = nothing


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


def chain(n: int) -> sparse.csr_matrix:
    return sparse.eye(n, k=1, format="csr")


CASES = {
    # places
    "no places": Odd(domains(), r"obsm\['spatial'\] not found", KeyError, spoil=lambda t: t.obsm.pop("spatial")),
    "all at one place": Odd(
        domains(), r"all 144 spots of section 'tissue' lie at one place, \(50, 50\)", spoil=places(lambda x: x * 0 + 50)
    ),
    "all at one place, cells": Odd(domains(), "all 144 spots lie at one place", spoil=cells(lambda x: x * 0 + 7)),
    "one place, for a graph": Odd(
        mt.pp.spatial_graph, "lie at one place.*give the coordinates", spoil=cells(lambda x: x * 0)
    ),
    "one place but for rounding": Odd(domains(), "lie at one place", spoil=cells(lambda x: 1e9 + x * 1e-9)),
    "a place is NaN": Odd(
        domains(),
        "NaN or infinite coordinates for 1 of 144 observations .*'spot3'",
        spoil=places(lambda x: np.where(np.arange(288).reshape(x.shape) == 7, np.nan, x)),
    ),
    "a place is infinite": Odd(
        domains(), "NaN or infinite coordinates for 23 of 144", spoil=places(lambda x: np.where(x > 260, np.inf, x))
    ),
    "places too far": Odd(domains(use_image=False), "coordinates as large as", spoil=places(lambda x: x * 1e300)),
    "places are words": Odd(
        domains(),
        r"obsm\['spatial'\] does not hold numbers: .*'left'",
        spoil=places(lambda x: np.full(x.shape, "left")),
    ),
    "places are complex": Odd(domains(), "holds complex128, not coordinates", spoil=places(lambda x: x + 1j)),
    "places are truths": Odd(domains(), "holds bool, not coordinates", spoil=places(lambda x: x > 100)),
    "places are dates": Odd(
        domains(), "holds datetime64.*, not coordinates", spoil=places(lambda x: x.astype("datetime64[s]"))
    ),
    "places are masked": Odd(
        domains(), "NaN or infinite coordinates for 23", spoil=places(lambda x: np.ma.masked_greater(x, 260))
    ),
    "four coordinates": Odd(
        domains(), r"shape \(144, 4\); expected \(n_obs, 2\)", spoil=places(lambda x: np.hstack([x, x]))
    ),
    "one coordinate": Odd(domains(), r"shape \(144, 1\); expected", spoil=places(lambda x: x[:, :1])),
    "places off the image": Odd(
        domains(),
        "144 of 144 spots of section 'tissue' lie off image 'hires'.*check the scale factor",
        spoil=places(lambda x: -x),
    ),
    "a line to triangulate": Odd(
        lambda t: mt.pp.spatial_graph(t, delaunay=True),
        "cannot be triangulated; use delaunay=False",
        spoil=cells(lambda x: np.column_stack([np.arange(144.0), np.zeros(144)])),
    ),
    # counts
    "a count is NaN": Odd(domains(), "X holds NaN or infinite values", spoil=counts(one_nan)),
    "a gene is infinite": Odd(
        domains(), "X holds NaN or infinite", spoil=counts(lambda x: np.where(np.arange(30) == 2, np.inf, x.toarray()))
    ),
    "counts with decimals": Odd(
        domains(), "decimals that are neither counts nor log-normalised", spoil=counts(lambda x: x / 3)
    ),
    "no counts": Odd(domains(), "X is empty; pass layer=", spoil=counts(lambda x: None)),
    "all counts zero": Odd(domains(), "0 genes found in enough of them", spoil=counts(lambda x: x * 0)),
    "counts beyond 32 bits": Odd(
        domains(use_image=False), "as large as .*32 bits", spoil=counts(lambda x: x.toarray() * 1e35)
    ),
    "unknown layer": Odd(domains(layer="counts"), "layer 'counts' not found in layers; found: none", KeyError),
    "no components": Odd(
        lambda t: mt.pp.embed_expression(t, n_comps=0), "n_comps must be a whole number of at least 1"
    ),
    "unknown transform": Odd(
        lambda t: mt.pp.embed_expression(t, transform="cube"), "transform must be one of .*got 'cube'"
    ),
    # names
    "two spots of one name": Odd(
        domains(), "1 duplicate name .*obs_names_make_unique", spoil=names(lambda n: ["twice", "twice", *n[2:]])
    ),
    **{
        f"{why} twice": Odd(call, rf"data\.obs has several columns named '{name}'.*keep the first", spoil=twice(name))
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
        lambda t: mt.tl.interactions(t, PAIRS, gene_symbols="symbol"),
        r"data\.var has several columns named 'symbol'",
        spoil=twice("symbol", "var"),
    ),
    "unknown sections": Odd(
        domains(library_key="slide"), "library_key 'slide' not found in obs; found: 'truth'", KeyError
    ),
    "a spot of no section": Odd(
        domains(library_key="slide"),
        "names no section for 1 of 144",
        spoil=held("obs", "slide", lambda n: [None] + ["a"] * (n - 1)),
    ),
    "table of an AnnData": Odd(domains(table_key="table"), "table_key='table' chooses a table of a SpatialData"),
    "name that no file holds": Odd(domains(key_added="a/b"), "'a/b' cannot be stored"),
    "empty name": Odd(domains(key_added=""), "'' cannot be stored"),
    "no name": Odd(domains(key_added=None), "None cannot be stored"),
    "name of two words": Odd(domains(key_added="my result"), "'my result' cannot be stored"),
    "entry of somebody else": Odd(
        domains(), r"uns\['multist'\] is of type str .*rename it", spoil=held("uns", "multist", lambda n: "my notes")
    ),
    "decisions of somebody else": Odd(
        domains(), r"\['decisions'\] is of type list", spoil=held("uns", "multist", lambda n: {"decisions": [1]})
    ),
    "True domains": Odd(domains(True), "n_domains must be .*got True", TypeError),
    # numbers of domains, seeds, devices
    **{f"{n!r} domains": Odd(domains(n), "n_domains must be", TypeError) for n in (2.5, None, float("nan"), ())},
    **{f"{n!r} domains": Odd(domains(n), "between 1 and the number of spots, 144") for n in (0, -1, 145, (2, 900))},
    "'seven' domains": Odd(domains("seven"), "n_domains must be .*got 'seven'"),
    **{
        f"seed {seed!r}": Odd(domains(random_state=seed), "random_state must be", error)
        for seed, error in {-1: ValueError, 1.5: TypeError, None: TypeError, 2**40: ValueError, "0": TypeError}.items()
    },
    "unknown device": Odd(domains(device="abacus"), "device must be 'auto' or a name torch knows.*'abacus'"),
    "unknown device for an encoder that needs none": Odd(
        lambda t: mt.pp.embed_histology(t, device="abacus"), "device must be .*'abacus'"
    ),
    "device that is not there": Odd(domains(device="cuda:99"), "device 'cuda:99' is not there: torch finds"),
    "no configuration": Odd(domains(config="fast"), "config must be a MultiSTConfig or None; got 'fast'", TypeError),
    "one as True": Odd(domains(use_image=1), "use_image must be True, False or 'auto'; got 1"),
    "yes as True": Odd(domains(use_image="yes"), "use_image must be True, False or 'auto'; got 'yes'"),
    # strokes
    "unknown strokes": Odd(guided(labels_key="drawn"), "labels_key 'drawn' not found in obs", KeyError),
    "strokes on no spot": Odd(
        guided(labels_key="drawn"),
        "names no spot; draw a stroke",
        spoil=held("obs", "drawn", lambda n: pd.Categorical([None] * n, ["a"])),
    ),
    "strokes of one class": Odd(
        guided(labels_key="drawn"), "only 'a' is named", spoil=held("obs", "drawn", lambda n: ["a"] + [None] * (n - 1))
    ),
    "measurements as strokes": Odd(guided(labels_key="depth"), r"obs\['depth'\] holds measurements.*not names"),
    "fewer domains than strokes": Odd(
        domains(2, labels_key="annotation"), "3 classes .*n_domains is 2: leave it out, or give"
    ),
    "a vote over strokes": Odd(guided(refine=True), "refine=True is a vote"),
    "nothing is unlabelled": Odd(guided(unlabeled_category="none"), "unlabeled_category 'none' is no value", KeyError),
    "trust of nothing": Odd(guided(trust=0, use_image=False), "above 0 and at most 1; got 0"),
    "trust that is NaN": Odd(guided(trust=float("nan"), use_image=False), "at most 1; got nan"),
    # embeddings and graphs
    "unknown embedding": Odd(domains(use_rep="X_umap"), "use_rep 'X_umap' not found in obsm", KeyError),
    "embedding of NaN": Odd(
        domains(),
        r"obsm\['X_pca'\] has values that are not finite",
        spoil=held("obsm", "X_pca", lambda n: np.full((n, 5), np.nan)),
    ),
    "embedding of words": Odd(
        domains(),
        r"obsm\['X_pca'\] holds <U1, not numbers",
        spoil=held("obsm", "X_pca", lambda n: np.full((n, 5), "a")),
    ),
    "embedding without columns": Odd(
        domains(), r"obsm\['X_pca'\] has no columns", spoil=held("obsm", "X_pca", lambda n: np.ones((n, 0)))
    ),
    "embedding beyond 32 bits": Odd(
        domains(), "as large as 1e", spoil=held("obsm", "X_pca", lambda n: np.eye(n, 5) * 1e200)
    ),
    "embedding of three axes": Odd(
        domains(), r"shape is \(144, 5, 2\)", spoil=held("obsm", "X_pca", lambda n: np.ones((n, 5, 2)))
    ),
    "infinite histology": Odd(
        domains(),
        r"obsm\['X_histology'\] has values that are not finite",
        spoil=held("obsm", "X_histology", lambda n: np.full((n, 5), np.inf)),
    ),
    "graph of negative weights": Odd(
        domains(), "negative weights", spoil=held("obsp", "spatial_connectivities", lambda n: -chain(n))
    ),
    "graph of words": Odd(
        domains(),
        r"obsp\['spatial_connectivities'\] holds <U1, not numbers",
        spoil=held("obsp", "spatial_connectivities", lambda n: np.full((n, n), "a")),
    ),
    "graph across sections": Odd(
        domains(library_key="slide", use_image=False),
        "edges between different sections.*spatial_graph",
        spoil=lambda t: (
            held("obsp", "spatial_connectivities", chain)(t),
            held("obs", "slide", lambda n: np.arange(n) // 72)(t),
        ),
    ),
    "no neighbours asked": Odd(
        lambda t: mt.pp.spatial_graph(t, n_neighbors=0), "n_neighbors must be a whole number of at least 1"
    ),
    "unknown lattice": Odd(lambda t: mt.pp.spatial_graph(t, coord_type="hex"), "coord_type must be .*'hex'"),
    "unknown alignment": Odd(
        lambda t: mt.pp.spatial_graph(t, aligned_key="paste"), "aligned_key 'paste' not found", KeyError
    ),
    # images
    "unknown image": Odd(domains(image_key="mid"), "'mid' not found .*found: 'hires'", KeyError),
    "no images": Odd(domains(use_image=True), "no image; uns", KeyError, spoil=lambda t: t.uns.pop("spatial")),
    "no image": Odd(domains(use_image=True), "no image for section 'tissue'", KeyError, spoil=image(lambda i: None)),
    "image of two channels": Odd(domains(), "image 'hires' has 2 channels", spoil=image(lambda i: i[..., :2])),
    "image with channels first": Odd(domains(), "has 320 channels", spoil=image(lambda i: i.transpose(2, 0, 1))),
    "image of NaN": Odd(domains(), "do not tell how large white is", spoil=image(lambda i: i * np.nan)),
    "image without rows": Odd(domains(), r"image 'hires' has shape \(0, 320, 3\)", spoil=image(lambda i: i[:0])),
    "image of one pixel": Odd(domains(), "lie off image 'hires'", spoil=image(lambda i: i[:1, :1])),
    "name of a file as image": Odd(domains(), "image 'hires' has shape", spoil=image(lambda i: "he.png")),
    "image of words": Odd(domains(), "holds values of type <U3", spoil=image(lambda i: i.astype("U3"))),
    "no tissue to normalise": Odd(
        mt.pp.normalize_histology, "no tissue was found in image 'hires'", spoil=image(lambda i: i * 0 + 255)
    ),
    "scale of zero": Odd(
        domains(), "'tissue_hires_scalef'.* must be positive; it is 0", spoil=factor("tissue_hires_scalef", 0)
    ),
    "scale that is a word": Odd(domains(), "must be positive", spoil=factor("tissue_hires_scalef", "half")),
    "scale a hundred times": Odd(domains(), "check the scale factor", spoil=factor("tissue_hires_scalef", 100)),
    "spots wider than the image": Odd(
        domains(), "a spot is 1000000000 pixels wide", spoil=factor("spot_diameter_fullres", 1e9)
    ),
    "no scale": Odd(
        domains(),
        "'tissue_hires_scalef' not found",
        KeyError,
        spoil=lambda t: t.uns["spatial"]["tissue"]["scalefactors"].pop("tissue_hires_scalef"),
    ),
    "images without a section": Odd(
        domains(), "belong to a section", spoil=lambda t: t.uns.update(spatial=t.uns["spatial"]["tissue"])
    ),
    "unknown stain method": Odd(lambda t: mt.pp.normalize_histology(t, "mirror"), "method 'mirror' is unknown; known"),
    "foreign stain reference": Odd(
        lambda t: mt.pp.normalize_histology(t, reference={"a": 1}), r"unknown fields \['a'\]"
    ),
    "patch of no width": Odd(lambda t: mt.pp.embed_histology(t, patch_size=0), "patch_size must be positive; got 0"),
    "micrometres unknown": Odd(
        lambda t: mt.pp.embed_histology(t, patch_unit="um"), "section 'tissue' does not say: give microns_per_pixel"
    ),
    "unknown encoder": Odd(lambda t: mt.pp.embed_histology(t, "resnet"), "encoder 'resnet' is unknown; built in"),
    "encoder of one number": Odd(
        lambda t: mt.pp.embed_histology(t, lambda x: x.mean(), device="cpu"), r"must return \(n, d\) for n patches"
    ),
    "encoder of NaN": Odd(
        lambda t: mt.pp.embed_histology(t, lambda x: x.mean((2, 3)) * np.nan, device="cpu"),
        "returned values that are not finite",
    ),
    # what follows domains, on a finished table
    "unknown root": Odd(
        lambda t: mt.tl.pseudotime(t, "hilum"), "root 'hilum' is neither a domain nor an observation", KeyError
    ),
    "space alone": Odd(
        lambda t: mt.tl.pseudotime(t, "0", spatial_weight=1), "spatial_weight must be at least 0 and below 1"
    ),
    "too few lines": Odd(lambda t: mt.tl.border_sharpness(t, n_null=1), "n_null must be a whole number of at least 38"),
    "domains unknown": Odd(
        lambda t: mt.tl.border_sharpness(t, cluster_key="leiden"), "cluster_key 'leiden' not found in obs", KeyError
    ),
    "one domain has no border": Odd(
        lambda t: mt.tl.border_sharpness(t, cluster_key="one"),
        "no two domains .* touch",
        spoil=held("obs", "one", lambda n: ["a"] * n),
    ),
    "ligands twice": Odd(
        lambda t: mt.tl.interactions(t, pd.concat([PAIRS, PAIRS[["source"]]], axis=1)),
        "pairs has several columns named 'source'",
    ),
    "a gene that is meant by two": Odd(
        lambda t: mt.tl.interactions(t, PAIRS),
        "'gene0' names several genes .*sum_genes",
        spoil=lambda t: setattr(t, "var_names", ["gene0", "gene0", *t.var_names[2:]]),
    ),
    "a gene of two, plotted": Odd(
        lambda t: mt.pl.domains(t, "gene0"),
        "'gene0' names several genes",
        spoil=lambda t: setattr(t, "var_names", ["gene0", "gene0", *t.var_names[2:]]),
    ),
    "no pairs": Odd(lambda t: mt.tl.interactions(t, PAIRS[:0]), "holds no pair"),
    "pairs by other names": Odd(
        lambda t: mt.tl.interactions(t, PAIRS.rename(columns={"source": "a"})),
        "needs the columns 'source' and 'target'",
    ),
    "pairs of other genes": Odd(
        lambda t: mt.tl.interactions(t, PAIRS.replace({"gene0": "x", "gene1": "y"})),
        "none of 2 pairs has both its genes",
    ),
    "no permutation": Odd(
        lambda t: mt.tl.ligrec(t, pairs=PAIRS, n_perms=0), "n_perms must be a whole number of at least 1"
    ),
    "shapes of an AnnData": Odd(
        lambda t: mt.tl.domain_shapes(t, shapes_key="a"), "shapes_key names shapes of a SpatialData"
    ),
    "no domain anywhere": Odd(
        lambda t: mt.tl.domain_shapes(t, "none"),
        "names no domain for any spot",
        spoil=held("obs", "none", lambda n: pd.Categorical([None] * n, ["a"])),
    ),
    "suggestions without strokes": Odd(mt.tl.suggest_labels, "multist_probability.* not found in obsm", KeyError),
    "table for a spreadsheet": Odd(lambda t: mt.tl.write_domains(t, "x.xlsx"), "ends in '.xlsx'; give"),
    "colour unknown": Odd(lambda t: mt.pl.domains(t, "leiden"), "color 'leiden' not found", KeyError),
    "curve unknown": Odd(mt.pl.n_domains, "'n_domains' not found in uns", KeyError),
    "embedding of no model": Odd(lambda t: mt.MultiST().embed(t), "not fitted: call .fit", RuntimeError),
    "number of no embedding": Odd(
        lambda t: mt.tl.cluster_domains(t, 3, use_rep="X_umap"), "use_rep 'X_umap' not found", KeyError
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
@pytest.mark.parametrize("name", [name for name in CASES if name not in {*FINISHED, *NO_VIEW}][::40])
@pytest.mark.filterwarnings("error::anndata.ImplicitModificationWarning")
def test_a_view_stays_a_view_and_its_parent_as_it_was(name, table, untouched):
    CASES[name].spoil(table)
    view = table[:]
    with untouched(table), untouched(view), pytest.raises(CASES[name].error):
        CASES[name].call(view)


GOOD = {
    "whole numbers, sparse places": (counts(lambda x: x.astype(np.int64)), places(sparse.csr_matrix)),
    "bytes, whole places": (counts(lambda x: x.toarray().astype(np.uint8)), places(np.int32)),
    "half precision, places column after column": (
        counts(lambda x: x.toarray().astype(np.float16)),
        places(np.asfortranarray),
    ),
    "dense, column after column, numbers as names": (
        counts(lambda x: np.asfortranarray(x.toarray())),
        names(lambda n: [str(i) for i in range(len(n))]),
    ),
    "compressed columns, sections by number": (
        counts(lambda x: x.tocsc()),
        held("obs", "slide", lambda n: np.arange(n) // 72),
    ),
    "an empty spot, genes of one name": (
        counts(lambda x: sparse.csr_matrix(x.multiply((np.arange(144) != 5)[:, None]))),
        lambda t: setattr(t, "var_names", ["gene"] * t.n_vars),
    ),
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
    for change in GOOD[name]:
        change(table)
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
