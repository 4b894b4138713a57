"""Which column of the coordinates is x, and what else tables hold in ``obsm`` and ``uns``."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access import get_table, read_coordinates, read_features, resolve
from multist.access.coordinates import unfold_array

XY = np.array([[1.5, 20.0], [2.5, 70.0], [9.0, 40.0]])


def table(**obsm):
    adata = ad.AnnData(np.zeros((3, 1), dtype=np.float32))
    for key, value in obsm.items():
        adata.obsm[key] = value
    return adata


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("x", "y"),
        ("X", "Y"),
        ("array_col", "array_row"),
        ("pxl_col_in_fullres", "pxl_row_in_fullres"),
        ("imagecol", "imagerow"),
        ("spatial1", "spatial2"),
        ("Spatial_0", "Spatial_1"),
        ("CenterX_global_px", "CenterY_global_px"),
        ("x_centroid", "y_centroid"),
        ("center_x", "center_y"),
        ("Centroid X µm", "Centroid Y µm"),
        ("col", "row"),
        ("pos_x", "pos_y"),
        ("X_position", "Y_position"),
        ("xc", "yc"),
        ("sdimx", "sdimy"),
        ("x_FOV_px", "y_FOV_px"),
        ("x_slide_mm", "y_slide_mm"),
        ("cellCenterX", "cellCenterY"),
    ],
)
def test_names_of_columns_count(x, y, caplog):
    frame = pd.DataFrame({x: XY[:, 0], y: XY[:, 1]}, index=list("012"))
    for columns in ([x, y], [y, x]):
        caplog.clear()
        with caplog.at_level("INFO", "multist"):
            np.testing.assert_array_equal(read_coordinates(table(spatial=frame[columns]), "spatial"), XY)
        assert f"x is column {x!r}" in caplog.text


def test_pixels_come_before_places_in_an_array():
    frame = pd.DataFrame(
        {
            "array_row": [0, 1, 0],
            "array_col": [0, 1, 2],
            "pxl_row_in_fullres": XY[:, 1],
            "pxl_col_in_fullres": XY[:, 0],
        },
        index=list("012"),
    )
    np.testing.assert_array_equal(read_coordinates(table(spatial=frame), "spatial"), XY)


def test_of_two_pairs_of_names_neither_is_chosen():
    frame = pd.DataFrame(np.c_[XY, XY], columns=["a_y", "a_x", "b_y", "b_x"], index=list("012"))
    with pytest.raises(ValueError, match=r"has shape \(3, 4\)"):
        read_coordinates(table(spatial=frame), "spatial")


def test_names_that_nobody_knows_are_taken_in_their_order_and_the_log_says_so(caplog):
    frame = pd.DataFrame(XY, columns=["east", "north"], index=list("012"))
    np.testing.assert_array_equal(read_coordinates(table(spatial=frame), "spatial"), XY)
    assert "columns 'east', 'north', which are not known names: the first is taken for x" in caplog.text


@pytest.mark.parametrize(
    "form",
    [sparse.csr_matrix, sparse.csr_array, da.from_array, lambda xy: np.c_[xy, [1, 2, 3]], lambda xy: xy.astype(object)],
)
def test_forms_of_coordinates(form):
    np.testing.assert_array_equal(resolve(table(spatial=form(XY))).xy, XY)


def test_a_missing_number_of_pandas_names_its_row():
    frame = pd.DataFrame({"x": XY[:, 0], "y": XY[:, 1]}).convert_dtypes(convert_integer=False)
    adata = table(spatial=frame.set_index(table().obs_names))
    np.testing.assert_array_equal(resolve(adata).xy, XY)
    adata.obsm["spatial"].iloc[1, 0] = pd.NA
    with pytest.raises(ValueError, match=rf"for 1 of .* observations \('{adata.obs_names[1]}'\); remove these rows"):
        resolve(adata)


def test_coordinates_are_a_copy():
    held = XY.copy()
    held.setflags(write=False)
    adata = table(spatial=held)
    read_coordinates(adata, "spatial")[:] = 0
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)


@pytest.mark.parametrize(
    "form",
    [
        np.asarray,
        sparse.csr_matrix,
        sparse.csc_matrix,
        da.from_array,
        lambda x: pd.DataFrame(x, index=list("012")),
        lambda x: x.astype(int),
    ],
)
def test_forms_of_features(form):
    found = read_features(table(X_mine=form(np.arange(6.0).reshape(3, 2))), "X_mine")
    assert type(found) is np.ndarray and found.dtype.kind == "f"
    np.testing.assert_array_equal(found, np.arange(6.0).reshape(3, 2))


def test_features_that_will_not_do():
    with pytest.raises(KeyError, match="use_rep 'X_pca' not found in obsm; found: 'X_mine'"):
        read_features(table(X_mine=XY), "X_pca")
    with pytest.raises(ValueError, match=r"obsm\['X_mine'\] has values that are not finite"):
        read_features(table(X_mine=XY * np.nan), "X_mine")
    with pytest.raises(ValueError, match="not numbers"):
        read_features(table(X_mine=XY.astype(str)), "X_mine")


def visium(entry):
    adata = table(spatial=XY)
    adata.uns["spatial"] = {"s": entry}
    return adata


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"images": None},
        {"images": {"hires": None}, "scalefactors": None},
        {"scalefactors": {}},
        {"images": {}, "scalefactors": {"spot_diameter_fullres": None}},
    ],
)
def test_half_filled_sections_have_no_image(entry):
    record = resolve(visium(entry))
    np.testing.assert_array_equal(record.xy, XY)
    assert record.images == (None,) and np.isnan(record.diameter).all()


@pytest.mark.parametrize("value", ["large", 0, np.inf, [1, 2]])
def test_spots_of_no_possible_width_are_of_unknown_width_and_the_log_says_so(value, caplog):
    assert np.isnan(resolve(visium({"scalefactors": {"spot_diameter_fullres": value}})).diameter).all()
    assert "['spot_diameter_fullres'] is no positive number" in caplog.text


def test_images_without_the_level_of_the_section():
    adata = table(spatial=XY)
    adata.uns["spatial"] = {"images": {"hires": np.zeros((9, 9, 3))}, "scalefactors": {}}
    with pytest.raises(ValueError, match="they belong to a section"):
        resolve(adata)
    assert resolve(adata, image=False).images == (None,)


@pytest.mark.slow
def test_a_lazy_table_is_refused_at_once_and_a_copy_is_loaded(tmp_path):
    from multist.access.tables import copy_data

    adata = table(spatial=XY)
    adata.write_zarr(tmp_path / "a.zarr")
    lazy = ad.experimental.read_lazy(tmp_path / "a.zarr")
    with pytest.raises(TypeError, match=r"data is lazy .*to_memory\(\)"):
        get_table(lazy)
    np.testing.assert_array_equal(resolve(copy_data(lazy)).xy, XY)


def unfolded(xy, **obs) -> np.ndarray | None:
    xy = np.array(xy, dtype=float)
    table = ad.AnnData(obs=pd.DataFrame(obs, index=[f"s{i}" for i in range(len(xy))]))
    return unfold_array(xy, table)


ARRAY = np.array([[0, 0], [2, 0], [1, 1], [3, 1], [4, 0]])


def test_columns_of_an_array_are_half_a_distance_apart_and_rows_less_than_one():
    found = unfolded(ARRAY)
    np.testing.assert_allclose(found, ARRAY * [0.5, np.sqrt(0.75)])
    between = np.linalg.norm(found[:, None] - found, axis=2)
    assert np.sort(between[2])[1:4] == pytest.approx([1, 1, 1])


def test_the_longer_axis_holds_the_columns_unless_they_are_named(caplog):
    np.testing.assert_allclose(unfolded(ARRAY[:, ::-1]), ARRAY[:, ::-1] * [np.sqrt(0.75), 0.5])
    assert "(y holds the columns)" in caplog.text
    np.testing.assert_allclose(unfolded(ARRAY, array_col=ARRAY[:, 1]), ARRAY * [np.sqrt(0.75), 0.5])
    # a column that is neither, or no number, tells nothing
    for column in ([7.0] * 5, list("abcde")):
        np.testing.assert_allclose(unfolded(ARRAY, array_col=column), ARRAY * [0.5, np.sqrt(0.75)])


@pytest.mark.parametrize(
    "xy",
    [
        ARRAY[:3],  # too few to tell
        ARRAY + 0.5,
        ARRAY + [1_000_000, 0],
        -ARRAY - [1_000_000, 0],
        [[0, 0], [1, 0], [0, 1], [1, 1]],  # every place is taken
        [[0, 0], [2, 0], [0, 2], [2, 2]],  # a square lattice of even numbers
        [[101, 203], [350, 410], [613, 205], [352, 808]],  # pixels, whose sums happen to be even
    ],
)
def test_what_is_no_such_array_is_left_alone(xy):
    assert unfolded(xy) is None


def test_four_spots_are_enough_wherever_they_lie():
    assert unfolded(ARRAY[:4]) is not None
    assert unfolded(ARRAY + [999_996, 0]) is not None and unfolded(-ARRAY) is not None


@pytest.mark.parametrize(
    ("obs", "obsm", "end"),
    [
        (("x_centroid", "y_centroid"), "X_spatial", r"adata.obs\[\['x_centroid', 'y_centroid'\]\].to_numpy\(\)"),
        (("array_row", "array_col"), "X_spatial", r"adata.obs\[\['array_col', 'array_row'\]\].to_numpy\(\)"),
        (("n_counts", "area"), "X_spatial", r"adata.obsm\['X_spatial'\]"),
        (("n_counts", "area"), "X_umap", "in pixels of the full-resolution image where there is one"),
    ],
)
def test_coordinates_that_lie_elsewhere_are_pointed_at(obs, obsm, end):
    frame = pd.DataFrame(np.zeros((3, 2)), columns=list(obs), index=list("abc"))
    made = ad.AnnData(np.zeros((3, 1)), obs=frame, obsm={obsm: XY.copy()})
    with pytest.raises(KeyError, match=f'{end}"$'):
        resolve(made)
