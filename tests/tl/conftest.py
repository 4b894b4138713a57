"""Tissue with all stages before the last one done, and what it takes to see that nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from spatialdata import SpatialData

import multist as mt
from multist.access.tables import copy_data
from multist.datasets import layered_tissue
from multist.model.config import MultiSTConfig


@pytest.fixture(scope="session")
def quick() -> MultiSTConfig:
    """Enough training to see that it runs."""
    return MultiSTConfig(epochs=8)


@pytest.fixture(scope="session")
def untrained() -> MultiSTConfig:
    """Where only what goes into training is looked at."""
    return MultiSTConfig(epochs=0)


@pytest.fixture(scope="session")
def embedded_tissue(made_tissue):
    """SpatialData with ``X_pca``, ``X_histology`` and the graph."""
    sdata = copy_data(made_tissue[0])
    mt.pp.embed_expression(sdata)
    mt.pp.spatial_graph(sdata)
    mt.pp.embed_histology(sdata)
    return sdata


@pytest.fixture
def embedded(embedded_tissue):
    """A copy of the same, to write to."""
    return copy_data(embedded_tissue)


@pytest.fixture
def embedded_table(embedded_tissue, tissue_table) -> ad.AnnData:
    """The AnnData with the same stages done; its rows are those of the SpatialData's table."""
    table = embedded_tissue.tables["table"]
    assert table.obs_names.equals(tissue_table.obs_names)
    for key in ("X_pca", "X_histology"):
        tissue_table.obsm[key] = table.obsm[key].copy()
    for key in ("spatial_connectivities", "spatial_distances"):
        tissue_table.obsp[key] = table.obsp[key].copy()
    return tissue_table


def show_domains(table: ad.AnnData) -> None:
    """Give a table histology features that tell its domains, so that the image takes part after little training."""
    rng = np.random.default_rng(0)
    codes = table.obs["domain"].astype("category").cat.codes.to_numpy()
    table.obsm["X_histology"] = 2 * rng.normal(size=(codes.max() + 1, 12))[codes] + rng.normal(size=(table.n_obs, 12))


@pytest.fixture(scope="session")
def showing():
    """The function above."""
    return show_domains


@pytest.fixture
def telling(embedded):
    """The SpatialData with an image that tells the domains."""
    show_domains(embedded.tables["table"])
    return embedded


@pytest.fixture
def telling_table(embedded_table) -> ad.AnnData:
    """The AnnData with such an image."""
    show_domains(embedded_table)
    return embedded_table


TWO_SECTIONS = {"n_spots": 300, "n_genes": 400, "image_size": 400, "n_sections": 2, "stain_shift": 0.6}


@pytest.fixture(scope="session")
def made_together() -> ad.AnnData:
    """Two sections in one table, the second stained in another laboratory; take a copy."""
    return layered_tissue(**TWO_SECTIONS, format="anndata", random_state=1)


@pytest.fixture(scope="session")
def apart() -> Callable[[ad.AnnData], tuple[ad.AnnData, ad.AnnData]]:
    """Each section of such a table in an object of its own."""

    def parts(both: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
        tables = []
        for name in ("section1", "section2"):
            table = both[both.obs["section"] == name].copy()
            table.uns["spatial"] = {name: both.uns["spatial"][name]}
            tables.append(table)
        return tables[0], tables[1]

    return parts


@pytest.fixture(scope="session")
def made_sections(made_together, apart) -> tuple[ad.AnnData, ad.AnnData]:
    """The two, each an object of its own."""
    return apart(made_together)


@pytest.fixture
def sections(made_sections) -> tuple[ad.AnnData, ad.AnnData]:
    """Copies of the two, to write to."""
    return made_sections[0].copy(), made_sections[1].copy()


@pytest.fixture(scope="session")
def made_second_section() -> SpatialData:
    """The second of the two as a SpatialData."""
    return layered_tissue(**TWO_SECTIONS, random_state=1).filter_by_coordinate_system("section2")


@pytest.fixture
def second_section(made_second_section) -> SpatialData:
    """A copy of the same, to write to."""
    return copy_data(made_second_section)


@pytest.fixture(scope="session")
def fitted(made_sections, shorten_training) -> tuple[mt.MultiST, ad.AnnData]:
    """A model that knows seven domains, and the normalised first section it was fitted on; neither is to be changed."""
    table = made_sections[0].copy()
    mt.pp.normalize_histology(table)
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        model = mt.MultiST(device="cpu").fit(table)
        model.domains(table, 7)
    return model, table


@pytest.fixture(scope="session")
def recognised(fitted, made_sections) -> ad.AnnData:
    """The second section with its domains recognised; not to be changed."""
    new = made_sections[1].copy()
    fitted[0].domains(new)
    return new


def assert_equal(now: Any, before: Any, where: str) -> None:
    """Deep equality of what an AnnData can hold."""
    if isinstance(before, Mapping):
        assert set(now) == set(before), f"{where}: keys {sorted(map(str, set(now) ^ set(before)))} differ"
        for key in before:
            assert_equal(now[key], before[key], f"{where}[{key!r}]")
    elif isinstance(before, pd.DataFrame):
        pd.testing.assert_frame_equal(now, before, obj=where)
    elif sparse.issparse(before):
        assert now.shape == before.shape and (now != before).nnz == 0, where
    elif before is None:
        assert now is None, where
    else:
        np.testing.assert_array_equal(now, before, err_msg=where)


def assert_same_table(now: ad.AnnData, before: ad.AnnData) -> None:
    assert_equal(now.X, before.X, "X")
    for name in ("obs", "var"):
        assert_equal(getattr(now, name), getattr(before, name), name)
    for name in ("obsm", "obsp", "varm", "layers", "uns"):
        assert_equal(dict(getattr(now, name)), dict(getattr(before, name)), name)


@pytest.fixture(scope="session")
def unchanged() -> Callable[[Any], AbstractContextManager[None]]:
    """``with unchanged(data):`` fails if afterwards anything in it, keys or values, is not as before."""

    @contextmanager
    def compare(data: Any) -> Iterator[None]:
        if isinstance(data, ad.AnnData):
            before = data.copy()
            yield
            assert_same_table(data, before)
            return
        tables = {name: table.copy() for name, table in data.tables.items()}
        elements = {name: element for _, name, element in data.gen_spatial_elements()}
        yield
        assert set(data.tables) == set(tables)
        for name, table in tables.items():
            assert_same_table(data.tables[name], table)
        assert {name: element for _, name, element in data.gen_spatial_elements()}.keys() == elements.keys()

    return compare
