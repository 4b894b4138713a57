"""The size of a pixel: believed where a slide can have it, whoever states it, or told by the lattice of the spots."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from spatialdata.models import ShapesModel, TableModel
from spatialdata.transformations import Scale, set_transformation

from multist.access import resolve
from multist.access.scale import lattice_microns
from multist.pp import embed_histology, read_slide

ABSURD = [0.0, -0.25, float("nan"), float("inf"), 353.0, 20.5, 0.001]


@pytest.mark.parametrize("size", [*ABSURD, "large"])
def test_scale_factors_that_cannot_be_true_are_left_out_with_a_warning(visium, size, caplog):
    visium.uns["spatial"]["s1"]["scalefactors"]["microns_per_pixel"] = size
    assert resolve(visium).microns_per_pixel == (None,)
    assert "uns['spatial']['s1'] says that a pixel is" in caplog.text
    with pytest.raises(ValueError, match="needs the size of a pixel"):
        embed_histology(visium, patch_size=100.0, patch_unit="um")


@pytest.mark.parametrize("scale", [[353.0, 353.0], [0.25, 353.0], [0.001, 0.001]])
def test_transformations_that_cannot_be_true_are_left_out_with_a_warning(make_sdata, scale, caplog):
    sdata = make_sdata()
    set_transformation(sdata["he"], Scale(scale, axes=("x", "y")), "um")
    assert resolve(sdata).microns_per_pixel == (None,)
    assert "the transformation of image 'he' to 'um' says" in caplog.text


@pytest.mark.parametrize("size", [float("nan"), 20.5])
def test_what_the_user_gives_is_refused_instead(visium, size, tmp_path):
    with pytest.raises(ValueError, match="microns_per_pixel must be positive"):
        embed_histology(visium, patch_unit="um", microns_per_pixel=size)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="microns_per_pixel must be positive"):
        read_slide(tmp_path / "a.png", microns_per_pixel=size)


def lattice(kind: str) -> tuple[pd.DataFrame, np.ndarray]:
    row, column = (axis.ravel() for axis in np.mgrid[:12, :20])
    if kind == "visium":
        column = 2 * column + row % 2
        xy = np.column_stack([column * 50.0, row * 50 * np.sqrt(3)])
    else:
        xy = np.column_stack([column * 8.0, row * 8.0])
    return pd.DataFrame({"array_row": row, "array_col": column}), xy


@pytest.mark.parametrize(("angle", "mirrored"), [(0.0, False), (0.3, True), (np.pi / 2, False)])
@pytest.mark.parametrize(("kind", "region"), [("visium", ""), ("hd", "S_square_008um")])
def test_the_lattice_tells_the_size_however_it_lies(kind, region, angle, mirrored):
    obs, xy = lattice(kind)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pixels = (xy * [1, -1 if mirrored else 1]) @ turn.T / 0.37 + [900, 400]
    kept = np.random.default_rng(0).permutation(len(obs))[:150]
    assert lattice_microns(obs.iloc[kept], pixels[kept], np.nan, [region]) == pytest.approx(0.37)


def test_what_is_no_such_lattice_tells_nothing():
    obs, xy = lattice("visium")
    assert lattice_microns(pd.DataFrame(index=obs.index), xy, np.nan) is None
    assert lattice_microns(obs, np.random.default_rng(0).permutation(xy), np.nan) is None
    assert lattice_microns(obs, xy + 3 * (xy - xy.mean(axis=0)) ** 2, np.nan) is None


@pytest.mark.slow
def test_patches_of_visium_can_be_had_in_micrometres_and_their_size_is_kept():
    obs, xy = lattice("visium")
    image = np.random.default_rng(0).integers(60, 240, (500, 600, 3)).astype(np.uint8)
    adata = ad.AnnData(np.ones((len(obs), 1), np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["spatial"] = xy / 2 + 40
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 27.5}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": factors}}
    assert resolve(adata, image=False).microns_per_pixel == pytest.approx((2.0,))
    assert resolve(adata).microns_per_pixel == pytest.approx((4.0,))
    for key, size in (("spots", {}), ("um", {"patch_size": 110.0, "patch_unit": "um"})):
        embed_histology(adata, lambda patches: patches.mean((2, 3)), device="cpu", key_added=key, **size)
    np.testing.assert_allclose(adata.obsm["um"], adata.obsm["spots"], rtol=1e-4, atol=1e-4)
    params = adata.uns["um"]["histology"]
    assert params["patch_um"] == pytest.approx([110]) and params["microns_per_pixel"] == pytest.approx([4])


def hexagons(pitch: float, n: int = 20) -> np.ndarray:
    row, column = np.divmod(np.arange(n * n), n)
    return pitch * np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2])


def squares(pitch: float, n: int = 20) -> np.ndarray:
    return pitch * np.column_stack(np.divmod(np.arange(n * n), n)).astype(float)


def on_visium(xy: np.ndarray, diameter: float, **factors: float) -> ad.AnnData:
    adata = ad.AnnData(np.zeros((len(xy), 1)), obsm={"spatial": xy})
    adata.uns["spatial"] = {"s": {"scalefactors": {"spot_diameter_fullres": diameter, **factors}}}
    return adata


@pytest.mark.parametrize("diameter", [70.0, 65.0, 55.0])
def test_spots_of_visium_are_100_um_apart_whatever_their_diameter_is_said_to_be(diameter: float):
    # half a micrometre per pixel
    record = resolve(on_visium(hexagons(200), 2 * diameter))
    assert record.microns_per_pixel[0] == pytest.approx(0.5)


def test_pixels_of_a_smaller_image_are_larger():
    adata = on_visium(hexagons(200) + 300, 130, tissue_hires_scalef=0.1)
    adata.uns["spatial"]["s"]["images"] = {"hires": np.zeros((500, 500, 3), np.uint8)}
    assert resolve(adata).microns_per_pixel[0] == pytest.approx(5)
    assert resolve(adata, image=False).microns_per_pixel[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "xy",
    [squares(200), np.random.default_rng(0).uniform(0, 4000, (400, 2)), hexagons(200)[:5]],
    ids=["square", "scattered", "few"],
)
def test_what_is_no_visium_lattice_has_no_scale(xy: np.ndarray):
    assert resolve(on_visium(xy, 100)).microns_per_pixel[0] is None


def test_spots_that_touch_are_not_visium():
    assert resolve(on_visium(hexagons(200), 200)).microns_per_pixel[0] is None
    assert resolve(on_visium(hexagons(200), np.nan)).microns_per_pixel[0] is None


def test_what_the_data_says_comes_first():
    assert resolve(on_visium(hexagons(200), 110, microns_per_pixel=0.3)).microns_per_pixel[0] == 0.3


def test_bins_are_as_large_as_their_region_says():
    frame = ShapesModel.parse(squares(29), geometry=0, radius=14.5)
    table = ad.AnnData(np.zeros((400, 1)))
    table.obs["region"], table.obs["instance"] = "s_square_008um", np.arange(400)
    table.obs["region"] = table.obs["region"].astype("category")
    parsed = TableModel.parse(table, region="s_square_008um", region_key="region", instance_key="instance")
    sdata = sd.SpatialData(shapes={"s_square_008um": frame}, tables={"table": parsed})
    assert resolve(sdata).microns_per_pixel[0] == pytest.approx(8 / 29)


def test_each_section_has_its_own():
    both = ad.concat([on_visium(hexagons(200), 110), on_visium(hexagons(100), 55)], label="sample", keys=["a", "b"])
    both.obs_names_make_unique()
    factors = {name: {"scalefactors": {"spot_diameter_fullres": d}} for name, d in (("a", 110), ("b", 55))}
    both.uns["spatial"] = factors
    record = resolve(both, library_key="sample")
    assert record.microns_per_pixel == pytest.approx([0.5, 1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("breast_hires", 100 / (273 * 0.08250825)), ("her2st/A1", None)])
def test_real_sections(real_data, name: str, expected: float | None):
    file = real_data / f"{name}.h5ad"
    if not file.is_file():
        pytest.skip(f"no {file}")
    found = resolve(ad.read_h5ad(file)).microns_per_pixel[0]
    assert found is None if expected is None else found == pytest.approx(expected, rel=0.01)


def test_three_spots_tell_the_size_and_two_do_not():
    obs, xy = lattice("visium")
    some = [0, 1, 20]
    assert lattice_microns(obs.iloc[some], xy[some], np.nan) == pytest.approx(1)
    assert lattice_microns(obs.iloc[some[:2]], xy[some[:2]], np.nan) is None
    assert lattice_microns(obs.iloc[:3], xy[:3], np.nan) is None  # all in one row


@pytest.mark.parametrize(("stretch", "known"), [(1.02, True), (1.04, False), (0.98, True), (0.96, False)])
def test_a_lattice_keeps_its_shape_to_three_percent(stretch, known):
    obs, xy = lattice("visium")
    found = lattice_microns(obs, xy * [1, stretch], np.nan)
    assert (found is not None) == known
    if known:  # by the mean of both
        assert found == pytest.approx(1 / np.sqrt(stretch))


def test_spots_that_are_not_where_their_numbers_say_tell_nothing():
    obs, xy = lattice("visium")
    moved = xy.copy()
    moved[5] += [55.0, 0]  # more than the distance of two columns
    assert lattice_microns(obs, moved, np.nan) is None
    moved[5] = xy[5] + [20.0, 0]
    assert lattice_microns(obs, moved, np.nan) == pytest.approx(1, rel=0.01)
    sheared = xy @ np.array([[1, 0], [0.1, 1]])
    assert lattice_microns(obs, sheared, np.nan) is None


def test_numbers_as_text_count_and_words_do_not():
    obs, xy = lattice("visium")
    assert lattice_microns(obs.astype(str), xy, np.nan) == pytest.approx(1)
    obs = obs.astype(object)
    obs.iloc[3, 0] = "third"
    assert lattice_microns(obs, xy, np.nan) is None


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["a_square_016um"], True),
        (["square_016um", "square_008um"], False),
        (["square_016um", "cells"], False),
        (["square_016um_x"], False),
    ],
)
def test_bins_have_one_width(names, known):
    obs, xy = lattice("hd")
    assert lattice_microns(obs, xy, np.nan, names) == (pytest.approx(2) if known else None)
