"""AnnData in Visium's form, toy and real."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist.access import PatchReader, resolve


def test_anndata_in_visium_form(visium, painted):
    record = resolve(visium)
    order = visium.obs["spot"].to_numpy()
    np.testing.assert_allclose(record.xy, painted.xy[order])
    np.testing.assert_allclose(record.diameter, 60)
    assert record.table is visium
    assert record.section_names == ("s1",)
    assert record.images[0].key == "hires"
    assert record.images[0].shape == painted.image.shape[:2]
    assert record.has_image
    assert record.microns_per_pixel == (None,)


def test_anndata_image_key_and_order_of_preference(visium, painted):
    assert resolve(visium, image_key="lowres").images[0].shape == (300, 400)
    np.testing.assert_allclose(resolve(visium, image_key="lowres").xy * 2, resolve(visium).xy)
    entry = visium.uns["spatial"]["s1"]
    entry["images"]["hires_normalized"] = painted.image
    entry["scalefactors"]["tissue_hires_normalized_scalef"] = 0.25
    assert resolve(visium).images[0].key == "hires_normalized"
    assert resolve(visium, prefer_normalized=False).images[0].key == "hires"
    for key in ("hires", "hires_normalized"):
        del entry["images"][key]
    assert resolve(visium).images[0].key == "lowres"


def test_anndata_microns_per_pixel_are_those_of_the_image(visium):
    visium.uns["spatial"]["s1"]["scalefactors"]["microns_per_pixel"] = 0.5
    assert resolve(visium).microns_per_pixel == (2.0,)
    assert resolve(visium, image=False).microns_per_pixel == (0.5,)


def test_anndata_without_image_keeps_its_coordinates(visium):
    record = resolve(visium, image=False)
    np.testing.assert_array_equal(record.xy, visium.obsm["spatial"])
    assert record.images == (None,)
    assert not record.has_image
    del visium.uns["spatial"]
    record = resolve(visium)
    assert record.images == (None,)
    assert record.section_names == ("section",)
    assert np.isnan(record.diameter).all()


def test_anndata_sections(visium, painted):
    other = visium.copy()
    other.obs_names = [f"c{name}" for name in other.obs_names]
    other.uns["spatial"]["s1"]["images"] = {"hires": painted.image[:, ::-1]}
    other.obsm["spatial"][:, 0] = painted.image.shape[1] * 4 - other.obsm["spatial"][:, 0]
    both = ad.concat({"s2": other, "s1": visium}, label="library")
    both.uns["spatial"] = {"s1": visium.uns["spatial"]["s1"], "s2": other.uns["spatial"]["s1"]}
    both = both[np.random.default_rng(0).permutation(both.n_obs)].copy()
    record = resolve(both, library_key="library", image=True)
    names = np.array(record.section_names)
    np.testing.assert_array_equal(names[record.section], both.obs["library"].to_numpy())
    assert names[0] == both.obs["library"].iloc[0]
    found = PatchReader(record, size=12, pixels=6)[:]
    assert (found == found[:, :1, :1]).all()
    with pytest.raises(ValueError, match="several sections.*'s1', 's2'.*library_key"):
        resolve(both)
    assert resolve(both, image=False).section_names == ("section",)
    del both.uns["spatial"]["s2"]
    with pytest.raises(KeyError, match=r"no image for section 's2'.*holds: 's1'"):
        resolve(both, library_key="library", image=True)
    record = resolve(both, library_key="library")
    assert [image is None for image in record.images] == [name == "s2" for name in record.section_names]


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda image: image / np.float32(255), None),
        (lambda image: image.astype(np.float64), None),
        (lambda image: image.astype(np.uint16) * 257, None),
        (lambda image: np.dstack([image, np.full(image.shape[:2], 255, dtype=np.uint8)]), None),
        (lambda image: np.dstack([image, np.zeros(image.shape[:2], dtype=np.uint8)]), 255),
        (lambda image: da.from_array(image), None),
    ],
    ids=["float 0-1", "float 0-255", "uint16", "opaque", "transparent", "dask"],
)
def test_images_of_all_types_become_uint8_rgb(visium, painted, make, value):
    visium.uns["spatial"]["s1"]["images"]["hires"] = make(painted.image)
    level = resolve(visium).images[0].levels[0]
    assert level.dtype == np.uint8
    expected = painted.image if value is None else np.full_like(painted.image, value)
    np.testing.assert_array_equal(level.compute(), expected)


def test_grey_images_become_rgb(visium, painted):
    for grey in (painted.image[..., 0], painted.image[..., :1]):
        visium.uns["spatial"]["s1"]["images"]["hires"] = grey
        level = resolve(visium).images[0].levels[0].compute()
        np.testing.assert_array_equal(level, np.repeat(painted.image[..., :1], 3, axis=2))


def test_a_third_coordinate_is_left_aside(visium):
    expected = resolve(visium).xy
    visium.obsm["spatial"] = np.column_stack([visium.obsm["spatial"], np.arange(visium.n_obs)])
    np.testing.assert_array_equal(resolve(visium).xy, expected)


def test_a_view_is_resolved_as_its_rows(visium, painted):
    view = visium[5:20]
    record = resolve(view)
    np.testing.assert_allclose(record.xy, painted.xy[view.obs["spot"]])
    assert view.is_view


@pytest.mark.slow
@pytest.mark.parametrize("section", ["dlpfc/151673", "dlpfc/151674", "her2st/A1", "her2st/C3", "breast_block_a_s1"])
def test_real_sections_lie_on_their_tissue(real_data, section):
    record = resolve(ad.read_h5ad(real_data / f"{section}.h5ad"), image=True)
    height, width = record.images[0].shape
    assert (record.xy > 0).all()
    assert (record.xy < [width, height]).all()
    image = record.images[0].levels[0].compute()
    y, x = np.mgrid[:height:8, :width:8] + 4
    away = cKDTree(record.xy).query(np.column_stack([x.ravel(), y.ravel()]))[0] > 4 * record.diameter[0]
    beside = image[y.clip(max=height - 1).ravel()[away], x.clip(max=width - 1).ravel()[away]].astype(float)
    glass = np.median(beside[beside.min(axis=1) > 120], axis=0)
    colour = PatchReader(record, size=record.diameter, pixels=5)[:].mean(axis=(1, 2))
    stained = np.abs(colour - glass).max(axis=1) > 12
    assert (stained & (colour.mean(axis=1) > 30)).mean() > 0.9


@pytest.mark.parametrize("value", ["abc", None, np.nan, 0, -2.0])
def test_a_scale_factor_that_is_none_is_named_and_other_sizes_are_unknown(visium, value):
    factors = visium.uns["spatial"]["s1"]["scalefactors"]
    factors["spot_diameter_fullres"] = factors["microns_per_pixel"] = value
    record = resolve(visium)
    assert np.isnan(record.diameter).all() and record.microns_per_pixel == (None,)
    factors["tissue_hires_scalef"] = value
    with pytest.raises(ValueError, match=r"\['tissue_hires_scalef'\] must be positive"):
        resolve(visium)


def test_images_under_other_names_are_warned_of(visium, caplog):
    images = visium.uns["spatial"]["s1"]["images"]
    visium.uns["spatial"]["s1"]["images"] = {"fluorescence": images["hires"]}
    assert resolve(visium).images == (None,)
    assert "no image of section 's1' is taken, as none of 'fluorescence' is called 'hires' or 'lowres'" in caplog.text


def test_a_half_filled_section_has_no_image(visium):
    visium.uns["spatial"]["s1"]["images"] = None
    assert resolve(visium).images == (None,)
    with pytest.raises(KeyError, match="no image for section 's1'; its images: none"):
        resolve(visium, image=True)
