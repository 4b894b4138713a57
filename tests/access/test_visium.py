"""AnnData in Visium's form, toy and real: its numbers, and coordinates on an image of another size."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist.access import PatchReader, resolve, run

XY = np.array([[10.0, 20], [30, 20], [50, 60], [70, 90]])


def section(scale: float = 0.5, **factors) -> dict:
    image = np.full((60, 50, 3), 200, np.uint8)
    stated = {"tissue_hires_scalef": scale, "spot_diameter_fullres": 8.0}
    return {"images": {"hires": image}, "scalefactors": stated | factors}


def table(**sections) -> ad.AnnData:
    made = ad.AnnData(np.ones((4, 1), np.float32), obsm={"spatial": XY.copy()})
    made.obs["slide"] = ["a", "b", "a", "b"]
    made.uns["spatial"] = sections
    return made


def test_spots_and_micrometres_are_in_pixels_of_the_image():
    made = table(a=section(microns_per_pixel=0.4))
    record = resolve(made)
    assert record.table is made and record.has_image
    np.testing.assert_allclose(record.xy, XY / 2)
    np.testing.assert_allclose(record.diameter, 4)
    assert record.microns_per_pixel == (0.8,) and record.section_names == ("a",)
    np.testing.assert_allclose(record.in_microns()[0], XY * 0.4)
    again = record.without_image()
    np.testing.assert_allclose(again.xy, XY)
    assert again.microns_per_pixel == (0.4,) and again.images == (None,)
    np.testing.assert_array_equal(made.obsm["spatial"], XY)


def test_each_section_has_its_own_scale():
    record = resolve(table(a=section(0.5), b=section(0.25)), library_key="slide")
    np.testing.assert_allclose(record.xy, XY * np.array([[0.5], [0.25], [0.5], [0.25]]))
    np.testing.assert_allclose(record.diameter, [4, 2, 4, 2])


@pytest.mark.parametrize("scale", [0, -0.5, np.nan, np.inf, "large", None])
def test_a_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(ValueError, match=r"\['tissue_hires_scalef'\] must be positive"):
        resolve(table(a=section(scale)))


def test_a_column_with_the_names_of_several_sections_tells_them_and_the_log_says_so(caplog):
    made = table(a=section(0.5), b=section(0.25), c=section())
    made.obs["again"] = made.obs["slide"].astype("category")
    made.obs["other"] = ["a", "x", "a", "x"]
    made.obs["lists"] = [["a"]] * 4
    record = resolve(made)
    np.testing.assert_array_equal(record.xy, resolve(made, library_key="slide").xy)
    assert record.section_names == ("a", "b") and record.has_image
    assert "obs['slide'] tells the sections, as it has their names in uns['spatial']" in caplog.text


@pytest.mark.parametrize("slide", [["a", "x", "a", "x"], ["a", None, "a", "b"], ["a", "b", "b", "a"]])
def test_several_sections_need_a_column_unless_no_image_is_asked_for(slide, caplog):
    made = table(a=section(), b=section())
    made.obs["slide"] = slide
    made.obs["second"] = ["a", "b", "a", "b"] if slide[-1] == "a" else 1  # two columns that differ tell nothing
    with pytest.raises(ValueError, match=r"holds several sections \('a', 'b'\); pass library_key"):
        resolve(made)
    assert resolve(made, image=False).section_names == ("section",)
    assert ("differently ('slide', 'second'): give library_key" in caplog.text) == (slide[-1] == "a")


@pytest.mark.parametrize("part", ["images", "scalefactors"])
def test_a_section_without_a_name_is_refused_only_where_an_image_is_needed(part):
    made = table(**{part: section()[part]})
    with pytest.raises(ValueError, match="they belong to a section"):
        resolve(made)
    assert resolve(made, image=False).images == (None,)


def test_the_finer_and_the_normalised_image_come_first():
    entry = section()
    dark, bright = (np.full((60, 50, 3), value, np.uint8) for value in (90, 220))
    entry["images"] |= {"lowres": dark, "hires_normalized": bright, "lowres_normalized": dark}
    entry["scalefactors"] |= {f"tissue_{key}_scalef": 0.5 for key in entry["images"]}
    made = table(a=entry)
    assert resolve(made).images[0].key == "hires_normalized"
    assert resolve(made, prefer_normalized=False).images[0].key == "hires"
    del entry["images"]["hires"], entry["images"]["hires_normalized"]
    assert resolve(made).images[0].key == "lowres_normalized"
    assert resolve(made, image_key="lowres").images[0].key == "lowres"
    with pytest.raises(KeyError, match=r"image_key 'hires' not found in uns\['spatial'\]\['a'\]"):
        resolve(made, image_key="hires")
    del entry["scalefactors"]["tissue_lowres_scalef"]
    with pytest.raises(KeyError, match="'tissue_lowres_scalef' not found"):
        resolve(made, image_key="lowres")


def test_tables_of_cellxgene_have_more_than_sections_and_a_full_image_of_scale_one():
    entry = section()
    entry["images"]["fullres"] = np.full((120, 100, 3), 200, np.uint8)
    made = table(a=entry)
    made.uns["spatial"]["is_single"] = np.bool_(True)
    assert resolve(made).images[0].key == "hires"
    record = resolve(made, image_key="fullres")
    np.testing.assert_array_equal(record.xy, XY)
    with run(made, "test") as work:
        work.part.write_images(work.part.record, [[np.zeros((60, 50, 3), np.uint8)]])
    assert set(made.uns["spatial"]["a"]["images"]) == {"hires", "fullres", "hires_normalized"}
    with run(made, "test", image_key="fullres") as work:
        work.part.write_images(work.part.record, [[np.zeros((120, 100, 3), np.uint8)]])
    assert made.uns["spatial"]["a"]["scalefactors"]["tissue_fullres_normalized_scalef"] == 1
    del entry["images"]["hires"], made.uns["spatial"]["a"]["images"]["hires"]
    assert resolve(made, prefer_normalized=False).images[0].key == "fullres"


def test_a_section_may_be_called_by_a_number():
    made = table()
    made.uns["spatial"] = {0: section()}
    with run(made, "test") as work:
        work.part.write_images(work.part.record, [[np.zeros((60, 50, 3), np.uint8)]])
    assert set(made.uns["spatial"][0]["images"]) == {"hires", "hires_normalized"}
    assert resolve(made).images[0].key == "hires_normalized"


def test_sections_of_other_names_have_no_image_and_the_log_says_so(caplog):
    made = table(a=section(), c=section())
    record = resolve(made, library_key="slide")
    assert [image is None for image in record.images] == [False, True]
    assert "there is no image for section 'b' of obs['slide'], as uns['spatial'] holds 'a', 'c'" in caplog.text
    with pytest.raises(KeyError, match="image_key 'hires' not found for section 'b'.*holds 'a', 'c'"):
        resolve(made, library_key="slide", image_key="hires")
    with pytest.raises(KeyError, match="no image for section 'b'; uns"):
        resolve(made, library_key="slide", image=True)
    caplog.clear()
    assert not resolve(table(), library_key="slide").has_image and not caplog.text


def test_places_in_an_array_do_not_lie_on_an_image():
    made = table(a=section())
    made.obsm["spatial"] = np.array([[0.0, 0], [2, 0], [1, 1], [3, 1]])
    with pytest.raises(ValueError, match="do not say where the spots lie on image 'hires'"):
        resolve(made)
    record = resolve(made, image=False)
    np.testing.assert_allclose(record.xy, made.obsm["spatial"] * [0.5, np.sqrt(0.75)])
    assert record.microns_per_pixel == (100.0,) and np.isnan(record.diameter).all()


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


def test_a_view_is_resolved_as_its_rows(visium, painted):
    view = visium[5:20]
    record = resolve(view)
    np.testing.assert_allclose(record.xy, painted.xy[view.obs["spot"]])
    assert view.is_view


@pytest.mark.slow
@pytest.mark.parametrize("section", ["dlpfc/151673", "her2st/A1", "breast_block_a_s1"])
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


def test_images_under_other_names_are_warned_of(visium, caplog):
    images = visium.uns["spatial"]["s1"]["images"]
    visium.uns["spatial"]["s1"]["images"] = {"fluorescence": images["hires"]}
    assert resolve(visium).images == (None,)
    assert "no image of section 's1' is taken, as none of 'fluorescence' is called 'hires' or 'lowres'" in caplog.text
