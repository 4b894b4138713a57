"""Domains into files for QuPath and Loupe Browser, and back."""

from __future__ import annotations

import json

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from spatialdata.models import ShapesModel

import multist as mt
from multist.pp._drawn_json import parse_geojson


def labels_of(data, key: str = "annotation") -> list[str]:
    table = data if isinstance(data, ad.AnnData) else data.tables["table"]
    return table.obs[key].astype(object).fillna("").astype(str).tolist()


def test_qupath_gets_annotations_with_class_and_colour(tissue_table: ad.AnnData, tmp_path):
    assert mt.tl.write_domains(tissue_table, tmp_path / "a.geojson", "domain") is None
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    frame = mt.tl.domain_shapes(tissue_table, "domain")
    for feature, row in zip(content["features"], frame.itertuples(), strict=True):
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "annotation"
        rgb = [int(row.colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert feature["properties"]["classification"] == {"name": row.name, "color": rgb}
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid and shape.geom_type in ("Polygon", "MultiPolygon")
        assert shape.equals_exact(row.geometry, tolerance=0)


@pytest.mark.parametrize("name", ["a.geojson", "a.csv"])
def test_folders_on_the_way_are_made_and_home_is_known(tissue_table: ad.AnnData, tmp_path, monkeypatch, name: str):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in (tmp_path / "new" / "deep" / name, f"~/results/{name}"):
        mt.tl.write_domains(tissue_table, path, "domain")
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()} == {
        f"new/deep/{name}",
        f"home/results/{name}",
    }
    mt.pp.read_labels(tissue_table, f"~/results/{name}")
    assert labels_of(tissue_table) == labels_of(tissue_table, "domain")


@pytest.mark.parametrize("ending", [".geojson", ".csv"])
@pytest.mark.parametrize("kind", ["anndata", "spatialdata"])
def test_every_spot_gets_its_name_and_colour_back(tissue, tissue_table, tmp_path, ending: str, kind: str):
    data = tissue if kind == "spatialdata" else tissue_table
    table = tissue.tables["table"] if kind == "spatialdata" else tissue_table
    table.obs["mine"] = table.obs["domain"].astype(str).where(np.arange(table.n_obs) % 7 > 0)
    table.uns["mine_colors"] = [f"#0000{i:02X}" for i in range(table.obs["mine"].nunique())]
    path = tmp_path / f"domains{ending}"
    mt.tl.write_domains(data, path, "mine")
    mt.pp.read_labels(data, path)
    assert labels_of(data) == labels_of(data, "mine")
    if ending == ".geojson":
        assert list(table.uns["annotation_colors"]) == table.uns["mine_colors"]


@pytest.mark.slow
def test_a_drawing_survives_the_whole_way_and_back(tissue, tissue_table, tmp_path):
    """Polygon to labels, to outlines, to a file, to labels."""
    middle = tissue.shapes["spots"].geometry.union_all().centroid
    disc = middle.buffer(700).difference(middle.buffer(250)).union(middle.buffer(90))
    tissue.shapes["drawn"] = ShapesModel.parse(gpd.GeoDataFrame({"label": ["Ring"]}, geometry=[disc]))
    mt.pp.labels_from_shapes(tissue, "drawn")
    table = tissue.tables["table"]
    assert 20 < table.obs["annotation"].notna().sum() < 200
    mt.tl.domain_shapes(tissue, "annotation")
    (outline,) = tissue.shapes["annotation"].geometry
    assert any(part.interiors for part in getattr(outline, "geoms", [outline]))
    mt.tl.write_domains(tissue, tmp_path / "ring.geojson", "annotation")
    (feature,) = json.loads((tmp_path / "ring.geojson").read_text())["features"]
    assert shapely.geometry.shape(feature["geometry"]).hausdorff_distance(outline) == 0
    mt.pp.read_labels(tissue, tmp_path / "ring.geojson", key_added="back")
    assert labels_of(tissue, "back") == labels_of(tissue)
    mt.pp.labels_from_shapes(tissue, "annotation", key_added="again")
    assert labels_of(tissue, "again") == labels_of(tissue)


def test_a_stored_polygon_comes_back_within_half_a_pixel(tissue_table: ad.AnnData, tmp_path):
    tissue_table.obsm["spatial"] = tissue_table.obsm["spatial"] / 3 + 40_000.123456789
    before = mt.tl.domain_shapes(tissue_table, "domain")
    mt.tl.write_domains(tissue_table, tmp_path / "a.geojson", "domain")
    after, _ = parse_geojson((tmp_path / "a.geojson").read_text(), "a", "a")
    for one, two in zip(before.geometry, after.geometry, strict=True):
        assert one.hausdorff_distance(two) < 0.5
        assert len(shapely.get_coordinates(one)) == len(shapely.get_coordinates(two))


def test_pixels_of_the_image_that_will_be_opened(tissue_table: ad.AnnData, tmp_path):
    path = tmp_path / "hires.geojson"
    mt.tl.write_domains(tissue_table, path, "domain", image_key="hires")
    frame, _ = parse_geojson(path.read_text(), "a", "a")
    np.testing.assert_allclose(frame.total_bounds, mt.tl.domain_shapes(tissue_table, "domain").total_bounds / 4)
    mt.pp.read_labels(tissue_table, path, image_key="hires")
    assert labels_of(tissue_table) == labels_of(tissue_table, "domain")


def test_loupe_gets_one_row_per_spot_with_a_domain(tissue_table: ad.AnnData, tmp_path):
    tissue_table.obs["mine"] = pd.Categorical(["a, b", None, 'say "c"', *[None] * (tissue_table.n_obs - 3)])
    mt.tl.write_domains(tissue_table, tmp_path / "a.CSV", "mine")
    one, _, three = tissue_table.obs_names[:3]
    assert (tmp_path / "a.CSV").read_text() == f'Barcode,mine\n{one},"a, b"\n{three},"say ""c"""\n'
    mt.pp.read_labels(tissue_table, tmp_path / "a.CSV")
    assert labels_of(tissue_table) == labels_of(tissue_table, "mine")


def test_loupe_gets_the_barcodes_of_its_own_file_where_they_tell_spots_apart(tissue_table: ad.AnnData, tmp_path):
    names = tissue_table.obs_names.to_series()
    tissue_table.obs["barcode"] = [f"{name}-1" for name in names]
    mt.tl.write_domains(tissue_table, tmp_path / "a.csv", "domain")
    assert list(pd.read_csv(tmp_path / "a.csv")["Barcode"]) == list(tissue_table.obs["barcode"])
    mt.pp.read_labels(tissue_table, tmp_path / "a.csv")
    assert labels_of(tissue_table) == labels_of(tissue_table, "domain")
    for useless in ("the same", [None, *names[1:]]):
        tissue_table.obs["barcode"] = useless
        mt.tl.write_domains(tissue_table, tmp_path / "a.csv", "domain")
        assert list(pd.read_csv(tmp_path / "a.csv")["Barcode"]) == list(names)


@pytest.mark.parametrize("ending", [".geojson", ".csv"])
def test_the_only_section_goes_by_the_name_that_its_image_has(tissue_table: ad.AnnData, tmp_path, ending: str):
    (name,) = tissue_table.uns["spatial"]
    mt.tl.write_domains(tissue_table, tmp_path / f"a{ending}", "domain", section=name)
    mt.pp.read_labels(tissue_table, tmp_path / f"a{ending}", section=name)
    assert labels_of(tissue_table) == labels_of(tissue_table, "domain")


@pytest.mark.parametrize("ending", [".geojson", ".csv"])
def test_numbers_as_names_have_no_fraction(tissue_table: ad.AnnData, tmp_path, ending: str):
    """pandas stores whole numbers beside a missing one as floats."""
    tissue_table.obs["mine"] = pd.Series(np.where(tissue_table.obs["depth"] < 0.5, 1.0, 2.0), tissue_table.obs_names)
    tissue_table.obs.loc[tissue_table.obs_names[0], "mine"] = np.nan
    tissue_table.obs["mine"] = tissue_table.obs["mine"].astype("category")
    mt.tl.write_domains(tissue_table, tmp_path / f"a{ending}", "mine")
    mt.pp.read_labels(tissue_table, tmp_path / f"a{ending}")
    assert set(tissue_table.obs["annotation"].dropna()) == {"1", "2"}


def test_names_of_any_script_survive(tissue_table: ad.AnnData, tmp_path):
    tissue_table.obs["mine"] = pd.Categorical(np.where(tissue_table.obs["depth"] < 0.5, "Rinde β — \u5c64", 'a "b", c'))
    for ending in (".geojson", ".csv"):
        mt.tl.write_domains(tissue_table, tmp_path / f"a{ending}", "mine")
        mt.pp.read_labels(tissue_table, tmp_path / f"a{ending}")
        assert labels_of(tissue_table) == labels_of(tissue_table, "mine")


@pytest.mark.slow
def test_several_sections(made_together, tmp_path):
    adata = made_together.copy()
    keys = {"cluster_key": "domain", "library_key": "section"}
    with pytest.raises(ValueError, match="several sections; pass the section to be written"):
        mt.tl.write_domains(adata, tmp_path / "a.geojson", **keys)
    with pytest.raises(KeyError, match="section 'third' not found; found: 'section1', 'section2'"):
        mt.tl.write_domains(adata, tmp_path / "a.geojson", section="third", **keys)
    for section in ("section1", "section2"):
        for ending in (".geojson", ".csv"):
            path = tmp_path / f"{section}{ending}"
            mt.tl.write_domains(adata, path, section=section, **keys)
            mt.pp.read_labels(adata, path, key_added=f"from_{ending[1:]}", section=section, library_key="section")
    assert labels_of(adata, "from_geojson") == labels_of(adata, "domain") == labels_of(adata, "from_csv")
    mt.tl.write_domains(adata, tmp_path / "all.csv", "domain")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == adata.n_obs + 1


def test_what_is_not_asked_for_does_not_stop_a_file(tissue_table: ad.AnnData, tmp_path):
    section = np.where(np.arange(tissue_table.n_obs) == 3, "a spot", "the others").astype(object)
    tissue_table.obs["section"] = section
    del tissue_table.uns["spatial"]
    keys = {"cluster_key": "domain", "library_key": "section"}
    mt.tl.write_domains(tissue_table, tmp_path / "a.geojson", section="the others", **keys)
    tissue_table.obs["section"] = np.where(section == "a spot", None, section)
    mt.tl.write_domains(tissue_table, tmp_path / "a.csv", **keys)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == tissue_table.n_obs + 1


@pytest.mark.parametrize(
    ("name", "arguments", "error", "says"),
    [
        ("a.json", {}, ValueError, "give a .geojson for QuPath or a .csv"),
        ("a", {}, ValueError, "give a .geojson"),
        ("a.csv", {"cluster_key": "none"}, ValueError, "names no domain"),
        ("a.geojson", {"cluster_key": "none"}, ValueError, "names no domain"),
        ("a.csv", {"image_key": "hires"}, ValueError, "image_key is for a .geojson"),
        ("a.csv", {"section": "x"}, KeyError, "section 'x' not found"),
        ("a.csv", {"library_key": "x"}, KeyError, "library_key 'x' not found in obs"),
        ("a.csv", {"cluster_key": "depth"}, ValueError, "holds measurements, such as .*, not names of domains"),
    ],
)
def test_what_cannot_be_written_is_refused_and_no_file_is_left(tissue_table, tmp_path, name, arguments, error, says):
    tissue_table.obs["none"] = pd.Categorical([None] * tissue_table.n_obs, categories=["a"])
    with pytest.raises(error, match=says):
        mt.tl.write_domains(tissue_table, tmp_path / name, **({"cluster_key": "domain"} | arguments))
    assert not list(tmp_path.iterdir())
