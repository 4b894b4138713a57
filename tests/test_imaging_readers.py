"""Merscope and CosMx, as spatialdata-io reads their folders: no H&E, many fields of view, micrometres where known."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from shapely import MultiPolygon, box
from spatialdata.models import Image2DModel
from spatialdata.transformations import Affine

import multist as mt
from multist.access import resolve

reader = pytest.importorskip("spatialdata_io", reason="spatialdata-io is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

N_GENES, SIDE = 30, 12
MOSAIC_PIXEL = 0.108  # micrometres
FIELD = 560  # pixels along a field of view


def cells(step: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of cells, and counts (cells, genes) that change from left to right."""
    rng = np.random.default_rng(seed)
    j, i = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    x, y = (
        30 + i * step + rng.uniform(-0.3, 0.3, i.shape) * step,
        30 + j * step + rng.uniform(-0.3, 0.3, i.shape) * step,
    )
    rates = np.where(np.arange(N_GENES) % 3 == (3 * i // SIDE)[:, None], 12.0, 2.0)
    return x, y, rng.poisson(rates)


def merscope_folder(path: Path, stains: tuple[str, ...]) -> Path:
    region = path / "202401011200_run" / "region_0"
    (region / "images").mkdir(parents=True)
    x, y, counts = cells(12.0, 0)
    ids = [str(10**12 + 7 * k) for k in range(len(x))]
    genes = [f"g{i}" for i in range(N_GENES - 2)] + ["Blank-1", "Blank-2"]
    pd.DataFrame(counts, index=pd.Index(ids, name="cell"), columns=genes).to_csv(region / "cell_by_gene.csv")
    pd.DataFrame({"fov": 0, "center_x": x, "center_y": y}, index=pd.Index(ids, name="EntityID")).to_csv(
        region / "cell_metadata.csv"
    )
    outlines = [MultiPolygon([box(a - 5, b - 5, a + 5, b + 5)]) for a, b in zip(x, y, strict=True)]
    columns = {"EntityID": [int(each) for each in ids] * 2, "ZIndex": np.repeat([0, 1], len(ids))}
    frame = gpd.GeoDataFrame(columns, geometry=outlines * 2).rename_geometry("Geometry")
    frame.to_parquet(region / "cell_boundaries.parquet")
    matrix = [[1 / MOSAIC_PIXEL, 0, 50], [0, 1 / MOSAIC_PIXEL, 80], [0, 0, 1]]
    np.savetxt(region / "images" / "micron_to_mosaic_pixel_transform.csv", matrix)
    for stain in stains:
        tifffile.imwrite(region / "images" / f"mosaic_{stain}_z3.tif", np.full((1800, 1800), 900, np.uint16))
    return region


@pytest.mark.slow
@pytest.mark.parametrize("stains", [("DAPI", "PolyT"), ("DAPI", "PolyT", "Cellbound1")])
def test_stains_of_merscope_are_no_histology(tmp_path, stains):
    sdata = reader.merscope(merscope_folder(tmp_path, stains), transcripts=False)
    record = resolve(sdata)
    assert record.images == (None,)
    assert record.microns_per_pixel == pytest.approx((MOSAIC_PIXEL,))
    assert np.median(record.diameter) * MOSAIC_PIXEL == pytest.approx(np.sqrt(400 / np.pi))
    with pytest.raises(KeyError, match="no RGB image .*Stains of fluorescence are no histology. Add the H&E"):
        mt.pp.normalize_histology(sdata)


@pytest.mark.slow
def test_domains_of_merscope(tmp_path):
    sdata = reader.merscope(merscope_folder(tmp_path, ("DAPI", "PolyT")), transcripts=False)
    mt.tl.multist_domains(sdata, 3)
    table = sdata.tables["table"]
    assert table.obs["multist_domain"].nunique() == 3
    assert table.uns["spatial_neighbors"]["params"]["unit"] == "um"
    assert 12 < np.median(table.obsp["spatial_distances"].data) < 18, "between a neighbour and one across the corner"
    mt.pl.domains(sdata, show=False)
    sdata.write(tmp_path / "domains.zarr")


def test_merscope_with_a_slide_beside_it(tmp_path):
    sdata = reader.merscope(merscope_folder(tmp_path, ("DAPI",)), transcripts=False)
    scale = 0.5 / MOSAIC_PIXEL  # of a slide with pixels of 0.5 um
    slide = np.random.default_rng(0).integers(90, 250, (3, 400, 400)).astype(np.uint8)
    affine = Affine([[scale, 0, 50], [0, scale, 80], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    sdata.images["he"] = Image2DModel.parse(slide, dims=("c", "y", "x"), transformations={"global": affine})
    record = resolve(sdata)
    assert record.images[0].key == "he" and record.microns_per_pixel == pytest.approx((0.5,))
    assert np.median(record.diameter) * 0.5 == pytest.approx(np.sqrt(400 / np.pi))


def cosmx_folder(path: Path, fields: int = 2) -> Path:
    (path / "CellComposite").mkdir(parents=True)
    (path / "CellLabels").mkdir()
    expression, metadata = [], []
    for fov in range(1, fields + 1):
        x, y, counts = cells(45.0, fov)
        names = {"fov": fov, "cell_ID": np.arange(1, len(x) + 1)}
        expression.append(pd.DataFrame({**names, **{f"g{i}": counts[:, i] for i in range(N_GENES)}}))
        places = {"CenterX_local_px": x, "CenterY_local_px": y}
        places |= {"CenterX_global_px": x + FIELD * (fov - 1) + 1000, "CenterY_global_px": y + 5000}
        metadata.append(pd.DataFrame({**names, "Area": 841, **places}))
        labels = np.zeros((FIELD, FIELD), np.uint16)
        for cell, a, b in zip(names["cell_ID"], x.astype(int), y.astype(int), strict=True):
            labels[b - 14 : b + 15, a - 14 : a + 15] = cell
        tifffile.imwrite(path / "CellLabels" / f"CellLabels_F{fov:03}.tif", labels[::-1])
        glow = np.where(labels[::-1, :, None] > 0, [30, 90, 200], 8).astype(np.uint8)
        Image.fromarray(glow).save(path / "CellComposite" / f"CellComposite_F{fov:03}.jpg")
    pd.concat(expression).to_csv(path / "S_exprMat_file.csv", index=False)
    pd.concat(metadata).to_csv(path / "S_metadata_file.csv", index=False)
    pd.DataFrame({"fov": range(1, fields + 1)}).to_csv(path / "S_fov_positions_file.csv", index=False)
    return path


@pytest.mark.slow
def test_cosmx(tmp_path):
    sdata = reader.cosmx(cosmx_folder(tmp_path / "slide"), transcripts=False)
    with pytest.raises(KeyError, match="Stains of fluorescence are no histology"):
        mt.pp.embed_histology(sdata)
    assert resolve(sdata).section_names == ("1_labels", "2_labels")
    table = sdata.tables["table"]
    table.obs["slide"] = "S"
    record = resolve(sdata, library_key="slide")
    np.testing.assert_allclose(record.xy.min(axis=0) // 10, [101, 501], atol=2)
    mt.pp.spatial_graph(sdata, library_key="slide", microns_per_pixel=0.12)
    graph = table.obsp["spatial_connectivities"].tocoo()
    fov = table.obs["fov"].to_numpy()
    assert (fov[graph.row] != fov[graph.col]).any(), "fields of view of one slide touch"
    assert table.uns["spatial_neighbors"]["params"]["unit"] == "um"
    mt.tl.multist_domains(sdata, 3, library_key="slide")
    assert table.obs["multist_domain"].nunique() == 3
    mt.pl.domains(sdata, library_key="slide", show=False)


@pytest.mark.slow
def test_of_images_in_one_system_each_field_has_its_own(tmp_path):
    sdata = reader.cosmx(cosmx_folder(tmp_path / "slide"), transcripts=False)
    del sdata.attrs["spatialdata_io_reader"]  # as if these were pictures of an H&E, field by field
    record = resolve(sdata)
    assert [image.key for image in record.images] == ["1_image", "2_image"]
    assert record.xy.max() < FIELD


@pytest.mark.slow
@pytest.mark.parametrize("name", ["merscope", "cosmx"])
def test_without_histology_all_lines_of_the_readme_run_but_those_that_ask_for_it(name, tmp_path, run_readme):
    folder = merscope_folder(tmp_path, ("DAPI",)) if name == "merscope" else cosmx_folder(tmp_path / "slide")
    sdata = getattr(reader, name)(folder, transcripts=False)
    refused = run_readme(sdata)
    assert set(refused) == {"mt.pp.normalize_histology", "mt.pp.embed_histology"}
    assert all("Add the H&E" in said and "or go without an image" in said for said in refused.values())
    table = sdata.tables["table"]
    assert table.obs["multist_domain"].nunique() == 7 and table.obs["multist_pseudotime"].notna().any()
    assert len(table.uns["multist"]["interactions"]["pairs"]) > 0
