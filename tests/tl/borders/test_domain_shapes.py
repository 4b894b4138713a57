"""Domains as polygons of a SpatialData, or as a GeoDataFrame."""

from __future__ import annotations

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import spatialdata as sd
from spatialdata.transformations import Identity, Scale, get_transformation, set_transformation

import multist as mt


def names_in(frame: gpd.GeoDataFrame, xy: np.ndarray) -> list[str | None]:
    """Name of the outline that each place lies in."""
    found = gpd.sjoin(gpd.GeoDataFrame(geometry=gpd.points_from_xy(*xy.T)), frame, predicate="within")
    assert not found.index.duplicated().any()
    return found["name"].reindex(range(len(xy))).tolist()


def test_the_outlines_of_a_table_are_in_its_own_pixels(tissue_table: ad.AnnData):
    before = tissue_table.copy()
    frame = mt.tl.domain_shapes(tissue_table, "domain")
    truth = tissue_table.obs["domain"]
    assert names_in(frame, tissue_table.obsm["spatial"]) == truth.astype(str).tolist()
    assert list(frame["name"]) == list(truth.cat.categories)
    assert frame["n_spots"].tolist() == truth.value_counts()[frame["name"]].tolist()
    assert list(frame.columns) == ["name", "colour", "area", "area_unit", "n_spots", "neighbours", "geometry"]
    assert list(tissue_table.uns) == list(before.uns) and list(tissue_table.obs) == list(before.obs)


def test_areas_are_square_micrometres_where_pixels_are_known(tissue_table: ad.AnnData):
    frame = mt.tl.domain_shapes(tissue_table, "domain")
    assert set(frame["area_unit"]) == {"um^2"}
    hexagon = 100.0**2 * np.sqrt(3) / 2  # Visium's spots are 100 um apart
    np.testing.assert_allclose(frame["area"], hexagon * frame["n_spots"], rtol=0.02)
    del tissue_table.uns["spatial"]  # the numbers of rows and columns still tell the lattice
    np.testing.assert_allclose(mt.tl.domain_shapes(tissue_table, "domain")["area"], frame["area"], rtol=1e-3)
    tissue_table.obs = tissue_table.obs.drop(columns=["array_row", "array_col"])
    blind = mt.tl.domain_shapes(tissue_table, "domain")
    assert set(blind["area_unit"]) == {"coordinates^2"}
    np.testing.assert_allclose(blind["area"], blind.geometry.area)
    told = mt.tl.domain_shapes(tissue_table, "domain", microns_per_pixel=0.5)
    assert set(told["area_unit"]) == {"um^2"}
    np.testing.assert_allclose(told["area"], blind["area"] / 4)


def test_neighbours_are_mutual_and_touch(tissue_table: ad.AnnData):
    frame = mt.tl.domain_shapes(tissue_table, "domain").set_index("name")
    for name, others in frame["neighbours"].items():
        for other in frame.index.drop(name):
            shared = frame.geometry[name].intersection(frame.geometry[other]).length
            assert (other in others) == (shared > 0)
            assert (other in others) == (name in frame.loc[other, "neighbours"])


@pytest.mark.slow
def test_the_outlines_of_a_spatialdata_are_in_the_pixels_of_its_image_and_survive_a_file(
    tissue, tissue_table, tmp_path
):
    scale = Scale([0.5, 0.5], axes=("x", "y"))
    set_transformation(tissue.images["he"], scale, to_coordinate_system="another")
    table = tissue.tables["table"]
    table.obs["multist_domain"] = table.obs["domain"].astype(str).where(table.obs["depth"] < 0.9)
    assert mt.tl.domain_shapes(tissue) is None
    tissue.write(tmp_path / "a.zarr")
    for sdata in (tissue, sd.read_zarr(tmp_path / "a.zarr")):
        frame = sdata.shapes["multist_domain"]
        expected = [None if pd.isna(name) else name for name in table.obs["multist_domain"]]
        assert [
            name if isinstance(name, str) else None for name in names_in(frame, tissue_table.obsm["spatial"] / 4)
        ] == expected
        assert set(get_transformation(frame, get_all=True)) == {"global", "another"}
        on_tissue = sd.transform(frame, to_coordinate_system="global")  # in micrometres, where the spots are
        centres = sdata.shapes["spots"].geometry.loc[table.obs["spot_id"]]
        assert [
            n if isinstance(n, str) else None for n in names_in(on_tissue, shapely.get_coordinates(centres))
        ] == expected
        assert all(isinstance(each, str) for others in frame["neighbours"] for each in others)
        assert frame["neighbours"].map(len).sum() > 0


def test_shapes_come_back_as_labels(tissue):
    mt.tl.domain_shapes(tissue, "domain", shapes_key="outlines")
    mt.pp.labels_from_shapes(tissue, "outlines")
    obs = tissue.tables["table"].obs
    assert obs["annotation"].astype(str).tolist() == obs["domain"].astype(str).tolist()
    colours = dict(zip(obs["annotation"].cat.categories, tissue.tables["table"].uns["annotation_colors"], strict=True))
    frame = tissue.shapes["outlines"]
    assert colours == dict(zip(frame["name"], frame["colour"], strict=True))


def test_without_an_image_outlines_are_where_the_spots_are(tissue):
    del tissue.images["he"]
    mt.tl.domain_shapes(tissue, "domain")
    frame = tissue.shapes["domain"]
    assert get_transformation(frame, get_all=True) == {"global": Identity()}
    centres = tissue.shapes["spots"].geometry.loc[tissue.tables["table"].obs["spot_id"]]
    assert (
        names_in(frame, shapely.get_coordinates(centres)) == tissue.tables["table"].obs["domain"].astype(str).tolist()
    )


def test_colours_are_those_of_the_column(tissue_table: ad.AnnData):
    categories = list(tissue_table.obs["domain"].cat.categories)
    tissue_table.uns["domain_colors"] = ["red", *[f"#00{i:02x}00" for i in range(len(categories) - 1)]]
    tissue_table.obs.loc[tissue_table.obs["domain"] == categories[1], "domain"] = categories[0]
    frame = mt.tl.domain_shapes(tissue_table, "domain")
    assert frame["colour"].tolist() == ["#FF0000", *[f"#00{i:02X}00" for i in range(1, len(categories) - 1)]]


@pytest.mark.slow
def test_each_section_has_its_own_outlines():
    sdata = mt.datasets.layered_tissue(n_spots=200, n_genes=100, image_size=200, n_sections=2)
    mt.tl.domain_shapes(sdata, "domain", shapes_key="drawn", library_key="section")
    table = sdata.tables["table"]
    for section in ("section1", "section2"):
        frame = sdata.shapes[f"drawn_{section}"]
        assert frame["n_spots"].sum() == (table.obs["section"] == section).sum()
        assert set(get_transformation(frame, get_all=True)) == {section}
    adata = mt.datasets.layered_tissue(n_spots=200, n_genes=100, image_size=200, n_sections=2, format="anndata")
    frame = mt.tl.domain_shapes(adata, "domain")
    assert set(frame["section"]) == {"section1", "section2"}
    assert frame["n_spots"].sum() == adata.n_obs


@pytest.mark.slow
def test_shapes_of_the_same_name_are_replaced_and_other_elements_are_not(tissue):
    mt.tl.domain_shapes(tissue, "domain")
    tissue.tables["table"].obs["domain"] = "all"
    mt.tl.domain_shapes(tissue, "domain")
    assert tissue.shapes["domain"]["name"].tolist() == ["all"]
    for taken in ("he", "spots", "table"):
        with pytest.raises(ValueError, match=f"'{taken}' is the name of another element"):
            mt.tl.domain_shapes(tissue, "domain", shapes_key=taken)
    with pytest.raises(ValueError, match="cannot be stored"):
        mt.tl.domain_shapes(tissue, "domain", shapes_key="a/b")
    assert list(tissue.shapes) == ["spots", "domain"]


def test_pixels_of_another_image(tissue_table: ad.AnnData):
    full = mt.tl.domain_shapes(tissue_table, "domain")
    hires = mt.tl.domain_shapes(tissue_table, "domain", image_key="hires")
    np.testing.assert_allclose(full.total_bounds / 4, hires.total_bounds)
    np.testing.assert_allclose(full["area"], hires["area"])
