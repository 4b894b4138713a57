"""The figure shows the images, the reference and the patches that the functions see."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

from multist.access import PatchReader, resolve
from multist.pl import histology
from multist.pp import normalize_histology


def made() -> ad.AnnData:
    rng = np.random.default_rng(0)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(60, 340, 25), np.arange(60, 340, 25)))
    adata = ad.AnnData(np.ones((len(x), 2), np.float32))
    adata.obsm["spatial"] = np.column_stack([x, y]) * 2
    image = np.full((400, 400, 3), 240, np.uint8)
    image[40:360, 40:360] = rng.choice([[90, 60, 130], [205, 130, 180]], size=(320, 320)).astype(np.uint8)
    scalefactors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 36.0}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": scalefactors}}
    return adata


@pytest.fixture
def section() -> ad.AnnData:
    return made()


@pytest.fixture(scope="module")
def normalized() -> ad.AnnData:
    """The section after its image was normalised; take a copy."""
    adata = made()
    normalize_histology(adata)
    return adata


def rectangles(ax) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_before_normalisation_one_image_and_the_patches(section):
    axes = histology(section, spots=3, show=False)
    assert len(axes) == 1 + 3
    assert len(rectangles(axes[0])) == 3
    assert "multist" not in section.uns


@pytest.mark.slow
def test_after_normalisation_both_images_reference_and_patches_twice(normalized):
    section = normalized.copy()
    reference = section.uns["multist"]["stain_reference"]
    n_reference = len(reference["patch_xy"])
    axes = histology(section, spots=3, show=False)
    assert len(axes) == 2 + n_reference + 2 * 3
    assert [ax.get_title() for ax in axes[:2]] == ["as scanned", "normalized"]
    for ax in axes[:2]:
        marks = rectangles(ax)
        assert len(marks) == 3 + n_reference
        centres = {(m.get_x() + m.get_width() / 2, m.get_y() + m.get_height() / 2) for m in marks[3:]}
        assert centres == {tuple(xy) for xy in reference["patch_xy"]}
    before, after = axes[-6].images[0].get_array(), axes[-3].images[0].get_array()
    assert not np.array_equal(before, after)


@pytest.mark.slow
def test_a_normalised_section_from_zarr_looks_the_same(normalized, tmp_path):
    section = normalized.copy()
    section.write_zarr(tmp_path / "a.zarr")
    titles = [ax.get_title() for ax in histology(section, spots=1, show=False)]
    assert [ax.get_title() for ax in histology(ad.read_zarr(tmp_path / "a.zarr"), spots=1, show=False)] == titles


def test_patches_are_those_of_the_named_spots_to_scale(section):
    names = [section.obs_names[5], section.obs_names[100]]
    axes = histology(section, spots=names, patch_size=3.0, show=False)
    record = resolve(section, image=True)
    expected = PatchReader(record, size=3 * record.diameter, pixels=224)[[5, 100]]
    for ax, patch, mark, xy in zip(axes[1:], expected, rectangles(axes[0]), record.xy[[5, 100]], strict=True):
        assert np.array_equal(ax.images[0].get_array(), patch)
        (circle,) = (p for p in ax.patches if isinstance(p, Circle))
        assert circle.radius * 2 == pytest.approx(224 / 3)
        assert mark.get_width() == pytest.approx(3 * 18)
        assert (mark.get_x() + mark.get_width() / 2, mark.get_y() + mark.get_height() / 2) == pytest.approx(tuple(xy))


@pytest.mark.slow
def test_spots_are_a_number_of_any_kind_or_names_of_any_kind(section):
    name = section.obs_names[5]
    for spots in (name, [name], np.array([name]), section.obs_names[5:6]):
        figure = histology(section, spots=spots, return_fig=True)
        assert len(figure.axes) == 2
    assert len(histology(section, spots=np.int64(3), return_fig=True).axes) == 4
    with pytest.raises(ValueError, match=r"spots must be a whole number of at least 1; got 1\.5"):
        histology(section, spots=1.5)


def test_errors_say_what_exists(section):
    with pytest.raises(KeyError, match="'s'"):
        histology(section, section="t")
    with pytest.raises(KeyError, match="nobody"):
        histology(section, spots=["nobody"])
    with pytest.raises(ValueError, match="patch_size"):
        histology(section, patch_size=0)
    with pytest.raises(ValueError, match="spots"):
        histology(section, spots=0)
    with pytest.raises(KeyError, match="hires"):
        histology(section, image_key="lowres")
