"""What the readers that people use make of folders in their layouts goes through all steps, or says what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image
from scipy import sparse

import multist as mt
from multist.access import resolve

if TYPE_CHECKING:
    from spatialdata import SpatialData

pytestmark = pytest.mark.slow

N_GENES, SIDE = 60, 640
FULLRES_MICRONS, HIRES = 0.5, 0.25
"""The full image has four times the pixels of the hires one, whose side is ``SIDE`` pixels."""
NO_STAINS = dict.fromkeys(
    ("nucleus_boundaries", "nucleus_labels", "transcripts", "morphology_mip", "morphology_focus"), False
)
HD = {"dataset_id": "S", "load_segmentations_only": False, "load_all_images": True}


def by_spatialdata_io(name: str, folder: Path, **kwargs: Any) -> SpatialData:
    reader = pytest.importorskip("spatialdata_io", reason="spatialdata-io is not installed")
    return getattr(reader, name)(folder, **kwargs)


@pytest.fixture(scope="module")
def slide() -> np.ndarray:
    """Three bands of tissue on glass, (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(0)
    density = np.zeros((SIDE, SIDE, 2))
    density[20:-20, 20:-20, 1] = 0.6
    for y, x in rng.integers(25, SIDE - 30, (3000, 2)):
        density[y : y + 5, x : x + 5] = (1.2, 0.1) if x < SIDE / 3 or x % 3 == 0 else density[y, x]
    image = 240 * np.exp(-density @ [[0.65, 0.70, 0.29], [0.1, 0.95, 0.15]])
    return (image + rng.normal(0, 1, image.shape)).clip(0, 255).astype(np.uint8)


def write_counts(path: Path, names: list[str], x: np.ndarray) -> None:
    """A 10x matrix whose genes change from left to right."""
    rng = np.random.default_rng(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    group = np.minimum(3 * (x - x.min()) / (np.ptp(x) + 1e-9), 2).astype(int)
    rates = np.where(np.arange(N_GENES) % 3 == group[:, None], 12.0, 2.0)
    counts = sparse.csc_matrix(rng.poisson(rates).T.astype(np.int32))  # genes by barcodes
    genes = [f"gene{i}" for i in range(N_GENES)]
    with h5py.File(path, "w") as file:
        file.attrs["library_ids"] = np.array([b"lib"])
        matrix = file.create_group("matrix")
        for key, value in {
            "data": counts.data,
            "indices": counts.indices,
            "indptr": counts.indptr,
            "shape": counts.shape,
        }.items():
            matrix[key] = value
        matrix["barcodes"] = np.array(names, "S")
        features = {
            "id": genes,
            "name": genes,
            "feature_type": ["Gene Expression"] * N_GENES,
            "genome": ["x"] * N_GENES,
        }
        for key, value in features.items():
            matrix[f"features/{key}"] = np.array(value, "S")


def write_images(folder: Path, slide: np.ndarray, factors: dict[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(slide).save(folder / "tissue_hires_image.png", compress_level=1)
    Image.fromarray(slide[::4, ::4]).save(folder / "tissue_lowres_image.png")
    scales = {"tissue_hires_scalef": HIRES, "tissue_lowres_scalef": HIRES / 4}
    (folder / "scalefactors_json.json").write_text(json.dumps({**scales, **factors}))


def visium_folder(path: Path, slide: np.ndarray, version: int) -> Path:
    row, column = (axis.ravel() for axis in np.mgrid[:12, :12])
    column = 2 * column + row % 2
    pitch = 100 / FULLRES_MICRONS
    x, y = 120 + column * pitch / 2, 120 + row * pitch * np.sqrt(3) / 2
    names = [f"AAAC{i:04}-1" for i in range(len(x))]
    write_counts(path / "filtered_feature_bc_matrix.h5", names, x)
    write_images(
        path / "spatial", slide, {"spot_diameter_fullres": 55 / FULLRES_MICRONS, "fiducial_diameter_fullres": 288.0}
    )
    columns = {"barcode": names, "in_tissue": 1, "array_row": row, "array_col": column}
    places = pd.DataFrame(
        {**columns, "pxl_row_in_fullres": y.round().astype(int), "pxl_col_in_fullres": x.round().astype(int)}
    )
    name = "tissue_positions_list.csv" if version == 1 else "tissue_positions.csv"
    places.sample(frac=1, random_state=0).to_csv(path / "spatial" / name, header=version > 1, index=False)
    if version == 3:
        tifffile.imwrite(path / "spatial" / "cytassist_image.tiff", slide[::2, ::2], photometric="rgb")
    return path


@pytest.mark.parametrize("version", [1, 2, 3])
def test_visium_by_spatialdata_io(tmp_path, slide, version):
    sdata = by_spatialdata_io("visium", visium_folder(tmp_path, slide, version), dataset_id="S")
    record = resolve(sdata)
    assert record.images[0].key == "S_hires_image"
    assert record.microns_per_pixel[0] == pytest.approx(FULLRES_MICRONS / HIRES, rel=0.01)
    assert np.median(record.diameter) * record.microns_per_pixel[0] == pytest.approx(55, rel=0.01)


def test_visium_with_the_slide_beside_it(tmp_path, slide):
    pytest.importorskip("spatialdata_io", reason="spatialdata-io is not installed")
    full = np.kron(slide, np.ones((4, 4, 1), np.uint8))
    tifffile.imwrite(tmp_path / "slide.tif", full, photometric="rgb", tile=(256, 256), compression="zlib")
    folder = visium_folder(tmp_path, slide, 2)
    sdata = by_spatialdata_io("visium", folder, dataset_id="S", fullres_image_file="slide.tif")
    record = resolve(sdata)
    assert record.images[0].key == "S_full_image"
    assert record.microns_per_pixel[0] == pytest.approx(FULLRES_MICRONS, rel=0.01)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_visium_by_squidpy(tmp_path, slide, version):
    squidpy = pytest.importorskip("squidpy")
    adata = squidpy.read.visium(visium_folder(tmp_path, slide, version))
    adata.var_names_make_unique()
    record = resolve(adata)
    assert record.images[0].key == "hires"
    assert record.microns_per_pixel[0] == pytest.approx(FULLRES_MICRONS / HIRES, rel=0.01)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [1, 2])
def test_visium_by_scanpy(tmp_path, slide, version):
    import scanpy as sc

    if not hasattr(sc, "read_visium"):
        pytest.skip("this scanpy reads no Visium")
    adata = sc.read_visium(visium_folder(tmp_path, slide, version))
    # its images are float32 in 0-1, and its coordinates text-free integers
    record = resolve(adata)
    np.testing.assert_array_equal(record.images[0].levels[0].compute(), slide)


def test_sections_that_scanpy_concatenates_need_the_names_of_their_images(tmp_path, slide):
    squidpy = pytest.importorskip("squidpy")
    one = squidpy.read.visium(visium_folder(tmp_path / "one", slide, 2), library_id="V1")
    two = squidpy.read.visium(visium_folder(tmp_path / "two", slide, 2), library_id="V2")
    both = ad.concat({"A": one, "B": two}, label="sample", index_unique="-", uns_merge="unique")
    with pytest.raises(KeyError, match=r"no image for section 'A'; uns\['spatial'\] holds: 'V1', 'V2'"):
        mt.pp.embed_histology(both, library_key="sample")


def hd_folder(path: Path, slide: np.ndarray) -> Path:
    pytest.importorskip("spatialdata_io", reason="spatialdata-io is not installed")
    for width in (8, 16):
        row, column = (axis.ravel() for axis in np.mgrid[: 320 // width, : 320 // width])
        pitch = width / FULLRES_MICRONS
        x, y = 400 + (column + 0.5) * pitch, 400 + (row + 0.5) * pitch
        kept = np.random.default_rng(0).random(len(x)) < 300 / len(x)
        names = [f"s_{width:03}um_{i:05}_{j:05}-1" for i, j in zip(row, column, strict=True)]
        folder = path / "binned_outputs" / f"square_{width:03}um"
        write_counts(folder / "filtered_feature_bc_matrix.h5", list(np.array(names)[kept]), x[kept])
        bins = {"bin_size_um": float(width), "spot_diameter_fullres": pitch, "microns_per_pixel": FULLRES_MICRONS}
        write_images(folder / "spatial", slide, bins)
        places = {"barcode": names, "in_tissue": 1, "array_row": row, "array_col": column}
        pd.DataFrame({**places, "pxl_row_in_fullres": y, "pxl_col_in_fullres": x}).to_parquet(
            folder / "spatial" / "tissue_positions.parquet"
        )
    write_images(path / "spatial", slide, {})
    tifffile.imwrite(path / "spatial" / "cytassist_image.tiff", slide[::2, ::2], photometric="rgb")
    full = np.kron(slide, np.ones((4, 4, 1), np.uint8))
    (path / "microscope_image").mkdir()
    tifffile.imwrite(
        path / "microscope_image" / "slide.tif", full, photometric="rgb", compression="zlib", tile=(256, 256)
    )
    names = ("cytassist", "spot"), ("spot", "cytassist"), ("microscope", "spot"), ("spot", "microscope")
    scales = {
        ("cytassist", "spot"): 2.0,
        ("spot", "cytassist"): 0.5,
        ("microscope", "spot"): 0.25,
        ("spot", "microscope"): 4.0,
    }
    matrices = {f"{a}_colrow_to_{b}_colrow": np.diag([scales[a, b], scales[a, b], 1.0]).tolist() for a, b in names}
    layout = {"file_format": "1.0", "transform": np.eye(3).tolist()}
    metadata = {"hd_layout_json": json.dumps(layout), "transform_matrices": matrices}
    with h5py.File(path / "S_feature_slice.h5", "w") as file:
        file.attrs["metadata_json"] = json.dumps(metadata)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("all_images", "squares"), [(True, True), (True, False), (False, True)])
def test_visium_hd(tmp_path, slide, all_images, squares):
    options = HD | {"load_all_images": all_images, "bins_as_squares": squares}
    sdata = by_spatialdata_io("visium_hd", hd_folder(tmp_path, slide), **options)
    assert ("S_cytassist_image" in sdata.images) == all_images
    with pytest.raises(ValueError, match="pass table_key, one of: 'square_008um', 'square_016um'"):
        mt.pp.embed_histology(sdata)
    for table_key, width in {"square_008um": 8, "square_016um": 16}.items():
        record = resolve(sdata, table_key=table_key)
        assert record.images[0].key == "S_full_image", "and not the CytAssist image, which lies in the same coordinates"
        assert record.microns_per_pixel[0] == pytest.approx(FULLRES_MICRONS, rel=0.01)
        area = np.pi / 4 if squares else 1  # of squares, the circle of equal area
        assert np.median(record.diameter) ** 2 * area == pytest.approx((width / FULLRES_MICRONS) ** 2, rel=0.01)
    del sdata.images["S_full_image"]
    assert resolve(sdata, table_key="square_016um").images[0].key == "S_hires_image"


def xenium_folder(path: Path, slide: np.ndarray) -> Path:
    pixel, step = 0.2125, 13.0  # micrometres of a pixel and between cells
    reader = pytest.importorskip("spatialdata_io.readers.xenium", reason="spatialdata-io is not installed")
    j, i = (axis.ravel() for axis in np.mgrid[:15, :15])
    rng = np.random.default_rng(0)
    x, y = 12 + i * step + rng.uniform(-2, 2, len(i)), 12 + j * step + rng.uniform(-2, 2, len(i))
    prefix = np.column_stack([np.arange(1, len(x) + 1), np.ones(len(x), int)]).astype(np.uint32)
    names = reader.cell_id_str_from_prefix_suffix_uint32(prefix[:, 0], prefix[:, 1])
    write_counts(path / "cell_feature_matrix.h5", list(names), x)
    (path / "experiment.xenium").write_text(json.dumps({"pixel_size": pixel, "analysis_sw_version": "xenium-3.0.0.15"}))
    cells = {"cell_id": names, "x_centroid": x, "y_centroid": y, "cell_area": np.pi * 25.0, "nucleus_area": np.pi * 4.0}
    pd.DataFrame(cells).to_parquet(path / "cells.parquet")
    corner = np.array([[-5, -5], [5, -5], [5, 5], [-5, 5], [-5, -5]])
    vertices = (np.column_stack([x, y])[:, None] + corner).reshape(-1, 2)
    ids = {"cell_id": np.repeat(names, 5), "label_id": np.repeat(np.arange(1, len(x) + 1), 5)}
    pd.DataFrame({**ids, "vertex_x": vertices[:, 0], "vertex_y": vertices[:, 1]}).to_parquet(
        path / "cell_boundaries.parquet"
    )
    labels = np.zeros((1000, 1000), np.uint32)
    for k, (cx, cy) in enumerate(zip(x / pixel, y / pixel, strict=True), start=1):
        labels[int(cy) - 23 : int(cy) + 24, int(cx) - 23 : int(cx) + 24] = k
    with zarr.storage.ZipStore(path / "cells.zarr.zip", mode="w") as store:
        group = zarr.open_group(store, mode="w")
        group["cell_id"] = prefix
        columns = [
            "cell_centroid_x",
            "cell_centroid_y",
            "cell_area",
            "nucleus_centroid_x",
            "nucleus_centroid_y",
            "nucleus_area",
        ]
        group["cell_summary"] = np.zeros((len(x), 8))
        group["cell_summary"].attrs["column_names"] = [*columns, "z_level", "nucleus_count"]
        for mask in ("0", "1"):
            group[f"masks/{mask}"] = labels
            group[f"polygon_sets/{mask}/cell_index"] = np.arange(len(x), dtype=np.uint32)
    # the H&E was turned by a quarter, and its pixels are 1.5 times as wide
    tifffile.imwrite(path / "sample_he_image.ome.tif", slide, photometric="rgb", metadata={"axes": "YXS"})
    affine = np.array([[0, 1.5, 10.0], [-1.5, 0, 10.0 + 1.5 * SIDE], [0, 0, 1]])
    pd.DataFrame(affine).to_csv(path / "sample_he_imagealignment.csv", header=False, index=False)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("circles", [True, False])
def test_xenium_with_an_aligned_slide(tmp_path, slide, circles):
    sdata = by_spatialdata_io("xenium", xenium_folder(tmp_path, slide), cells_as_circles=circles, **NO_STAINS)
    record = resolve(sdata)
    assert record.images[0].key == "he_image"
    assert record.microns_per_pixel[0] == pytest.approx(0.2125 * 1.5)
    assert np.median(record.diameter) * record.microns_per_pixel[0] == pytest.approx(10, rel=0.15)


def by_squidpy(folder: Path) -> ad.AnnData:
    adata = pytest.importorskip("squidpy").read.visium(folder)
    adata.var_names_make_unique()
    return adata


def backed(folder: Path) -> ad.AnnData:
    by_squidpy(folder).write_h5ad(folder / "table.h5ad")
    return ad.read_h5ad(folder / "table.h5ad", backed="r")


def lazy(folder: Path) -> ad.AnnData:
    by_squidpy(folder).write_h5ad(folder / "table.h5ad")
    return ad.experimental.read_lazy(folder / "table.h5ad")


def visium(version: int) -> Callable[[Path, np.ndarray], SpatialData]:
    return lambda path, slide: by_spatialdata_io("visium", visium_folder(path, slide, version), dataset_id="S")


def visium_hd(path: Path, slide: np.ndarray) -> SpatialData:
    return by_spatialdata_io("visium_hd", hd_folder(path, slide), **HD)


def xenium(path: Path, slide: np.ndarray) -> SpatialData:
    """Cells are polygons; circles go the way of Visium's spots."""
    return by_spatialdata_io("xenium", xenium_folder(path, slide), cells_as_circles=False, **NO_STAINS)


READERS: dict[str, tuple[Callable[[Path, np.ndarray], Any], dict[str, str]]] = {
    "visium": (visium(2), {}),
    "visium_hd": (visium_hd, {"table_key": "square_016um"}),
    "xenium": (xenium, {}),
    "squidpy": (lambda path, slide: by_squidpy(visium_folder(path, slide, 2)), {}),
    "backed": (lambda path, slide: backed(visium_folder(path, slide, 2)), {}),
}
"""Who reads a folder, and what each line of the README needs beside the object."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_the_lines_of_the_readme_run(name, tmp_path, slide, run_readme):
    read, named = READERS[name]
    data = read(tmp_path, slide)
    assert run_readme(data, **named) == {}
    table = data.tables[named.get("table_key", "table")] if hasattr(data, "tables") else data
    assert table.obs["multist_domain"].nunique() == 7
    assert np.isfinite(table.obsm["X_histology"]).all() and table.obsm["X_histology"].std(axis=0).max() > 0
    assert table.obs["multist_pseudotime"].notna().any()
    assert len(table.uns["multist"]["interactions"]["pairs"]) > 0
    assert (tmp_path / "domains.png").stat().st_size > 1000


def test_of_a_lazy_table_each_line_says_what_to_do(tmp_path, slide, run_readme):
    refused = run_readme(lazy(visium_folder(tmp_path, slide, 2)))
    anndatas_own = refused.pop("sdata.write")
    assert anndatas_own.startswith("Writing AnnData objects with a Dataset2D not supported")
    assert {"mt.pp.normalize_histology", "mt.tl.multist_domains", "mt.tl.pseudotime", "mt.pl.pseudotime"} <= set(
        refused
    )
    assert set(refused.values()) == {"data is lazy (anndata.experimental.read_lazy); load it by .to_memory() first"}
