from __future__ import annotations

from collections import OrderedDict

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from multist.histology import tissue
from multist.histology.stains import ink_pixels, optical_density, stain_amounts, stain_basis, white_point
from multist.histology.tissue import read_overview, tissue_mask


def slide(side: int = 400, glass: tuple[int, int, int] = (235, 232, 236)) -> np.ndarray:
    """Glass, a pink square of tissue, a black frame, an inset of tissue outlined in red, a green pen line across."""
    rng = np.random.default_rng(0)
    rgb = np.tile(np.array(glass, np.int16), (side, side, 1))
    rgb[100:300, 60:260] = (200, 120, 170)
    rgb[40:80, 320:380] = (200, 120, 170)
    rgb += rng.integers(-6, 7, rgb.shape).astype(np.int16)
    rgb[40:43, 320:380] = (230, 20, 20)
    rgb[200:204, 60:260] = (20, 200, 30)
    rgb[:, :20] = 0
    return rgb.clip(0, 255).astype(np.uint8)


SPOTS = np.array([[x, y] for x in range(80, 250, 20) for y in range(120, 290, 20)], float)


def test_mask_keeps_tissue_and_drops_frame_inset_and_ink():
    rgb = slide()
    mask = tissue_mask(rgb, white_point(rgb), SPOTS, 12)
    assert mask[110:190, 70:250].all() and mask[212:290, 70:250].all()
    assert not mask[:, :20].any(), "the black frame is no tissue"
    assert not mask[30:90, 310:390].any(), "an inset without spots is no tissue"
    assert not mask[200:204, 60:260].any(), "ink on the tissue is no tissue"
    assert not mask[320:, 30:].any()


def test_grey_glass_is_glass():
    dim = (slide() * 0.7).astype(np.uint8)
    assert np.abs(white_point(dim) - 0.7 * np.array([235, 232, 236])).max() < 8
    mask = tissue_mask(dim, white_point(dim), SPOTS, 12)
    assert mask[110:190, 70:250].all() and not mask[320:, 30:].any()


def test_a_blank_slide_has_no_tissue():
    blank = np.full((50, 50, 3), 240, np.uint8)
    assert not tissue_mask(blank, white_point(blank), np.array([[25.0, 25.0]]), 5).any()


@pytest.mark.slow
def test_overview_places_the_mask_in_intrinsic_pixels():
    rgb = np.kron(slide(), np.ones((8, 8, 1), np.uint8))
    overview = read_overview([da.from_array(rgb, chunks=500)], [1.0], SPOTS * 8, 96.0)
    assert max(overview.rgb.shape) <= 1200
    rows, columns = np.array([110, 250, 350]) * 8, np.array([-5, 10, 100, 240, 390, 10_000]) * 8
    expected = [[0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert overview.tissue_at(rows, columns).tolist() == np.array(expected, bool).tolist()


def test_stains_are_unmixed_as_they_were_mixed():
    amounts = np.random.default_rng(0).uniform(0.2, 1, (50, 2))
    white = np.array([240.0, 235.0, 238.0])
    rgb = (white + 1) * np.exp(-amounts @ stain_basis()[:2]) - 1
    h, e, rest = stain_amounts(np.rint(rgb)[None].astype(np.uint8), white)
    assert np.abs(np.column_stack([h[0], e[0]]) - amounts).max() < 0.02
    assert np.abs(rest).max() < 0.02
    assert optical_density(np.full((1, 1, 3), 255, np.uint8), white).max() == 0, "nothing is clearer than the glass"


def test_stained_tissue_is_no_ink():
    mixed = np.random.default_rng(0).uniform(0, 1.5, (2000, 2)) @ stain_basis()[:2]
    rgb = np.rint(240 * np.exp(-mixed)).astype(np.uint8)[None]
    assert ink_pixels(rgb).mean() < 0.01
    pens = np.array([[[230, 20, 20], [20, 200, 30], [240, 230, 30], [60, 200, 220]]], np.uint8)
    assert ink_pixels(pens).all()


@pytest.mark.slow
def test_real_section_in_a_black_frame(real_data):
    ad = pytest.importorskip("anndata")
    adata = ad.read_h5ad(real_data / "her2st" / "A1.h5ad")
    entry = adata.uns["spatial"]["A1"]
    rgb, factor = entry["images"]["hires"], entry["scalefactors"]["tissue_hires_scalef"]
    xy, diameter = adata.obsm["spatial"] * factor, entry["scalefactors"]["spot_diameter_fullres"] * factor
    overview = read_overview([da.from_array(rgb)], [1.0], xy, diameter)
    mask = overview.tissue_at(np.arange(rgb.shape[0]), np.arange(rgb.shape[1]))
    assert not mask[rgb.max(axis=2) < 10].mean() > 0.005, "black is outside"
    assert not mask[:540, 1490:].any(), "the inset with its drawn lines is outside"
    share = ndimage.uniform_filter(mask.astype(np.float32), round(diameter))[xy[:, 1].astype(int), xy[:, 0].astype(int)]
    assert np.quantile(share, 0.05) > 0.8
    assert 0.25 < mask.mean() < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("band", [1, 7])
def test_the_overview_is_every_nth_pixel_whatever_the_chunks(monkeypatch, band):
    monkeypatch.setattr(tissue, "_OVERVIEW_SIDE", 60)
    monkeypatch.setattr(tissue, "_BAND_CHUNKS", band)
    rgb = slide()
    step = 7
    for chunks in ((400, 400, 3), (33, 50, 3), (3, 400, 3)):
        overview = read_overview([da.from_array(rgb, chunks=chunks)], [1.0], SPOTS, 12)
        assert overview.scale == step
        np.testing.assert_array_equal(overview.rgb, rgb[::step, ::step])


def test_an_overview_that_is_known_is_not_read_and_must_fit(monkeypatch):
    monkeypatch.setattr(tissue, "_OVERVIEW_SIDE", 60)
    monkeypatch.setattr(tissue, "_REMEMBERED", OrderedDict())
    lazy = da.from_array(slide(), chunks=(100, 100, 3))
    known = np.full((58, 58, 3), 9, np.uint8)
    tissue.remember_overview([lazy], known)
    assert read_overview([lazy], [1.0], SPOTS, 12).rgb is known
    assert (read_overview([lazy[:, :, ::-1]], [1.0], SPOTS, 12).rgb != 9).any(), "another slide is read"
    with pytest.raises(ValueError, match="overview of shape"):
        tissue.remember_overview([lazy], known[:50])
