"""The size of a pixel is believed where a slide can have it, whoever states it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from spatialdata.transformations import Scale, set_transformation

from multist.access import resolve
from multist.access.scale import lattice_microns
from multist.pp import embed_histology, read_slide

ABSURD = [0.0, -0.25, float("nan"), float("inf"), 353.0, 0.001]


@pytest.mark.parametrize("size", ABSURD)
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


@pytest.mark.parametrize("size", ABSURD)
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


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2, 2.0])
@pytest.mark.parametrize("mirrored", [False, True])
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
    assert lattice_microns(obs, xy * [1, 1.4], np.nan) is None
    assert lattice_microns(obs, np.random.default_rng(0).permutation(xy), np.nan) is None
    assert lattice_microns(obs, xy + 3 * (xy - xy.mean(axis=0)) ** 2, np.nan) is None
    assert lattice_microns(obs.iloc[:2], xy[:2], np.nan) is None
    assert lattice_microns(obs.assign(array_row=0), xy, np.nan) is None
    squares, places = lattice("hd")
    assert lattice_microns(squares, places, np.nan, ["bins of nobody knows what"]) is None


def test_patches_of_visium_can_be_had_in_micrometres_and_their_size_is_kept():
    obs, xy = lattice("visium")
    image = np.random.default_rng(0).integers(60, 240, (500, 600, 3)).astype(np.uint8)
    adata = ad.AnnData(np.ones((len(obs), 1), np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["spatial"] = xy / 2 + 40
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 27.5}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": factors}}
    assert resolve(adata, image=False).microns_per_pixel == pytest.approx((2.0,))
    assert resolve(adata).microns_per_pixel == pytest.approx((4.0,))
    embed_histology(adata, key_added="spots")
    embed_histology(adata, patch_size=110.0, patch_unit="um", key_added="um")
    np.testing.assert_allclose(adata.obsm["um"], adata.obsm["spots"], rtol=1e-4, atol=1e-4)
    params = adata.uns["multist"]["histology"]
    assert params["patch_um"] == pytest.approx([110]) and params["microns_per_pixel"] == pytest.approx([4])
