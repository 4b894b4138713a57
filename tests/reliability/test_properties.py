"""What may change in the input without changing the result, tried on many small tissues.

Several changes are drawn for one call, and what comes out is compared with what the tissue gives as it is, which is
computed once. The suite draws the same ones each time; ``nox -s fuzz`` draws others.
:doc:`/reliability` lists the changes, and how close the results are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist.model.config import MultiSTConfig

FUZZ = int(os.environ.get("MULTIST_FUZZ", "0"))
QUICK = MultiSTConfig(epochs=2)
FIELDS = ("multist_domain", "multist_confidence", "multist_image_weight")
AGREEMENT = 0.9
"""Least adjusted Rand index of what is not the same to the bit: two or three of 144 spots."""

Change = Callable[[ad.AnnData, np.random.Generator], ad.AnnData]


class Asked(NamedTuple):
    """A way to ask for domains, and how many draws of changes are tried in the suite."""

    options: dict[str, Any]
    tries: int


SECTIONS, STROKES, NO_IMAGE = {"library_key": "half"}, {"labels_key": "annotation"}, {"use_image": False}
ASKED = {
    "a number": Asked({"n_domains": 3} | NO_IMAGE, 16),
    "labels_key": Asked(STROKES | NO_IMAGE, 10),
    "a number, in sections": Asked({"n_domains": 3} | SECTIONS | NO_IMAGE, 6),
    "labels_key, in sections": Asked(STROKES | SECTIONS | NO_IMAGE, 5),
    "labels_key, with the image": Asked(STROKES, 3),
}


def divided(table: ad.AnnData, asked: str = "a number") -> ad.AnnData:
    return mt.tl.multist_domains(table, copy=True, device="cpu", config=QUICK, **ASKED[asked].options)


def has_image(asked: str) -> bool:
    return "use_image" not in ASKED[asked].options


def with_sections(table: ad.AnnData) -> ad.AnnData:
    """The tissue in two halves."""
    x = table.obsm["spatial"][:, 0]
    table.obs["half"] = pd.Categorical(np.where(x < x.mean(), "left", "right"))
    return table


@pytest.fixture(scope="module")
def tissue(new_tissue) -> Callable[[int, str], ad.AnnData]:
    """Makes the tissue for a way to ask."""

    def make(seed: int, asked: str) -> ad.AnnData:
        table = with_sections(new_tissue(seed))
        if not has_image(asked):
            del table.uns["spatial"]
        return table

    return make


@pytest.fixture(scope="module")
def as_it_is(tissue) -> Callable[[int, str], ad.AnnData]:
    """The domains of a tissue that nothing has changed."""
    return cache(lambda seed, asked: divided(tissue(seed, asked), asked))


def assert_same_bits(now: ad.AnnData, before: ad.AnnData) -> None:
    for name in FIELDS:
        pd.testing.assert_series_equal(now.obs[name], before.obs[name], check_names=False)
    np.testing.assert_array_equal(now.obsm["X_multist"], before.obsm["X_multist"])


def assert_alike(now: ad.AnnData, before: ad.AnnData) -> None:
    """The same partition but for a few spots, by whatever names."""
    expected = before.obs["multist_domain"].loc[now.obs_names]
    assert adjusted_rand_score(expected, now.obs["multist_domain"]) > AGREEMENT


def with_genes(table: ad.AnnData, counts: Any, names: list[str]) -> ad.AnnData:
    var = pd.DataFrame(index=names)
    return ad.AnnData(counts, table.obs.copy(), var, dict(table.uns), obsm=dict(table.obsm))


def renamed_genes(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    return with_genes(table, table.X, [f"ENSG{i:011d}" for i in rng.permutation(table.n_vars)])


def silent_genes(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    silent = sparse.csr_matrix((table.n_obs, int(rng.integers(1, 40))), dtype=np.float32)
    names = [*table.var_names, *(f"silent{i}" for i in range(silent.shape[1]))]
    return with_genes(table, sparse.hstack([table.X, silent], format="csr"), names)


def unused_category(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    for column in ("annotation", "half"):
        held = table.obs[column].cat.add_categories([f"nothing {rng.integers(100)}"])
        # before the others, so that every code is another one
        table.obs[column] = held.cat.reorder_categories(
            [held.cat.categories[-1], *held.cat.categories[:-1]], ordered=False
        )
    return table


def other_order(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    return table[rng.permutation(table.n_obs)].copy()


def other_place(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Turned, scaled and moved; mirrored, too, half of the times."""
    angle, scale, shift = rng.uniform(0, 2 * np.pi), 10 ** rng.uniform(-2, 2), rng.uniform(-1e5, 1e5, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([rng.choice([-1, 1]), 1])
    table.obsm["spatial"] = scale * table.obsm["spatial"] @ mirror @ turn.T + shift
    return table


def other_unit(table: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    factor = float(rng.choice([0.125, 0.5, 4.0]))  # powers of two are exact
    table.obsm["spatial"] = table.obsm["spatial"] * factor
    factors = table.uns["spatial"]["tissue"]["scalefactors"]
    factors["tissue_hires_scalef"] /= factor
    factors["spot_diameter_fullres"] *= factor
    return table


def _backwards(x: sparse.csr_matrix) -> sparse.csr_matrix:
    rows = [slice(a, b) for a, b in zip(x.indptr, x.indptr[1:], strict=False)]
    order = np.concatenate([np.arange(row.start, row.stop)[::-1] for row in rows])
    return sparse.csr_matrix((x.data[order], x.indices[order], x.indptr), shape=x.shape)


FORMS: dict[str, Callable[[sparse.csr_matrix], object]] = {
    "compressed columns": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "dense, column after column": lambda x: np.asfortranarray(x.toarray()),
    "sparse array": sparse.csr_array,
    "double": lambda x: x.astype(np.float64),
    "whole numbers": lambda x: x.astype(np.int32),
    "entries of a row backwards": _backwards,
    "chunks of 10": lambda x: da.from_array(x.toarray(), chunks=(10, 7)),
    "chunks of 100, sparse": lambda x: da.from_array(x.toarray(), chunks=(100, x.shape[1])).map_blocks(
        sparse.csr_matrix
    ),
}


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "moved by whole pixels": lambda i, xy: (np.pad(i, ((48, 0), (64, 0), (0, 0)), constant_values=240), xy + [64, 48]),
    "turned by a quarter": lambda i, xy: (
        i.transpose(1, 0, 2)[::-1],
        np.column_stack([xy[:, 1], i.shape[1] - xy[:, 0]]),
    ),
    "mirrored": lambda i, xy: (i[:, ::-1], np.column_stack([i.shape[1] - xy[:, 0], xy[:, 1]])),
}


def image_and_places(table: ad.AnnData, _: np.random.Generator, way: str) -> ad.AnnData:
    images = table.uns["spatial"]["tissue"]["images"]
    image, table.obsm["spatial"] = WAYS[way](images["hires"], table.obsm["spatial"])
    images["hires"] = np.ascontiguousarray(image)
    return table


CHANGES: dict[str, Change] = {
    "genes by other names": renamed_genes,
    "genes that nothing expresses": silent_genes,
    "a category that nothing has": unused_category,
    "rows in another order": other_order,
    "another place": other_place,
    **{f"image and places {way}": partial(image_and_places, way=way) for way in WAYS},
    "another unit": other_unit,  # after what counts in pixels
}
IN_PIXELS = [name for name in CHANGES if name.startswith("image") or name == "another unit"]
"""Changes of a tissue with an image; what moves places alone is for one without."""


def to_the_bit(name: str, asked: str) -> bool:
    """Whether a change leaves the bits as they were.

    Unguided, places are read by the graph alone; folds of strokes are cut along their axes, where a tie may fall the
    other way.
    """
    if name == "another place":
        return asked in ("a number", "a number, in sections")
    return name != "rows in another order" and not name.startswith("image and places")


def drawn(tries: int) -> settings:
    """Settings by which the suite tries the same ones each time, and ``nox -s fuzz`` others and ten times as many."""
    phases = [Phase.generate, Phase.shrink] if FUZZ else [Phase.generate]
    many = min(FUZZ, 10 * tries) if FUZZ else tries
    quiet = list(HealthCheck)
    return settings(
        max_examples=many,
        derandomize=not FUZZ,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=quiet,
    )


@pytest.mark.slow
@pytest.mark.parametrize("asked", ASKED)
def test_what_may_change_without_changing_the_result(asked, tissue, as_it_is):
    if has_image(asked):
        names = [*IN_PIXELS, "rows in another order", "a category that nothing has"]
    else:
        names = [name for name in CHANGES if name not in IN_PIXELS]
    seen: set[str] = set()

    # the simplest that hypothesis draws is one change and one form, and not none
    @drawn(ASKED[asked].tries)
    @given(
        seed=st.integers(0, 1000 if FUZZ else int(not has_image(asked))),
        chosen=st.sets(st.sampled_from(names), min_size=1),
        form=st.sampled_from(list(FORMS)),
        numbers=st.integers(0, 2**32 - 1),
    )
    def tried(seed: int, chosen: set[str], form: str, numbers: int) -> None:
        table, rng = tissue(seed, asked), np.random.default_rng(numbers)
        for name in sorted(chosen, key=list(CHANGES).index):
            table = CHANGES[name](table, rng)
        table.X = FORMS[form](table.X)
        compare = assert_same_bits if all(to_the_bit(name, asked) for name in chosen) else assert_alike
        compare(divided(table, asked), as_it_is(seed, asked))
        seen.update({*chosen, form})

    tried()
    assert len(seen) > min(len(names) + len(FORMS), ASKED[asked].tries) / 2, f"hypothesis drew only {sorted(seen)}"


@pytest.mark.slow
def test_a_table_on_disk(tissue, as_it_is, tmp_path):
    table, expected = tissue(0, "labels_key"), as_it_is(0, "labels_key")
    table.write_h5ad(tmp_path / "tissue.h5ad")
    backed = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")
    assert_same_bits(divided(backed, "labels_key"), expected)
    table.write_zarr(tmp_path / "tissue.zarr")
    lazy = ad.experimental.read_lazy(tmp_path / "tissue.zarr")
    assert_same_bits(divided(lazy, "labels_key"), expected)


@pytest.mark.slow
@drawn(10)
@given(seed=st.integers(0, 1000), away=st.floats(1e3, 1e6), angle=st.floats(0, 6))
def test_a_far_section_joins_no_neighbours_and_changes_no_graph(new_tissue, seed, away, angle):
    table, far = new_tissue(seed), new_tissue(seed + 100)
    for each in (table, far):
        del each.uns["spatial"]
    alone = mt.pp.spatial_graph(table, copy=True)
    far.obsm["spatial"] = far.obsm["spatial"] + away * np.array([np.cos(angle), np.sin(angle)])
    joint = ad.concat({"here": table, "there": far}, label="section", index_unique="-")
    mt.pp.spatial_graph(joint, library_key="section")
    here = slice(0, table.n_obs)
    for name in ("spatial_connectivities", "spatial_distances"):
        assert (joint.obsp[name][here, here] != alone.obsp[name]).nnz == 0
        assert joint.obsp[name][here, table.n_obs :].nnz == 0


@pytest.mark.slow
def test_where_a_section_lies_changes_no_other(tissue):
    results = []
    for away in (0.0, 1e3, 1e7):
        tables = [tissue(0, "labels_key"), tissue(1, "labels_key")]
        tables[1].obsm["spatial"] = tables[1].obsm["spatial"] + away
        joint = ad.concat(dict(zip("ab", tables, strict=True)), label="section", index_unique="-")
        joint.obs["half"] = joint.obs["section"]
        results.append(divided(joint, "labels_key, in sections"))
    for other in results[1:]:
        assert_same_bits(other, results[0])


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["a number", "labels_key"])
def test_a_model_divides_a_section_the_same_whatever_else_is_there(asked, tissue):
    tables = [tissue(0, asked), tissue(0, asked), tissue(7, asked)]
    model = mt.MultiST(MultiSTConfig(epochs=0), device="cpu")
    model.fit(tables[0], **ASKED[asked].options)
    if asked == "a number":
        model.cluster(tables[0], 3)
    model.predict(tables[1])
    assert (tables[1].obs["multist_domain"].astype(str) == tables[0].obs["multist_domain"].astype(str)).mean() > 0.97
    expected = tables[1].obs["multist_domain"].copy()
    model.predict(tables[2])
    again = tissue(0, asked)
    model.predict(again)
    pd.testing.assert_series_equal(again.obs["multist_domain"], expected)
