"""Numbers of Visium's ``uns``: what can be true, and what becomes of coordinates on an image of another size."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

from multist.access import resolve
from multist.access.sections import ResolveOptions
from multist.access.visium import resolve_anndata

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


@pytest.mark.parametrize("scale", [0, -0.5, np.nan, np.inf, "large"])
def test_a_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(ValueError, match=r"\['tissue_hires_scalef'\] must be positive"):
        resolve(table(a=section(scale)))


def test_several_sections_need_a_column_unless_no_image_is_asked_for():
    made = table(a=section(), b=section())
    with pytest.raises(ValueError, match=r"holds several sections \('a', 'b'\); pass library_key"):
        resolve(made)
    assert resolve(made, image=False).section_names == ("section",)


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


def test_sections_of_other_names_have_no_image_and_the_log_says_so(caplog):
    made = table(a=section(), c=section())
    record = resolve(made, library_key="slide")
    assert [image is None for image in record.images] == [False, True]
    assert "there is no image for section 'b' of obs['slide'], as uns['spatial'] holds 'a', 'c'" in caplog.text
    with pytest.raises(KeyError, match="image_key 'hires' not found for section 'b'"):
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


def test_strays_are_left_where_they_are():
    made = table(a=section())
    made.obsm["spatial"][3] = [1000.0, 0]
    with pytest.raises(ValueError, match="1 of 4 spots"):
        resolve_anndata(made, ResolveOptions())
    record = resolve_anndata(made, ResolveOptions(strays=True))
    assert record.has_image
    made.obsm["spatial"][1:3] = [1000.0, 0]
    assert not resolve_anndata(made, ResolveOptions(strays=True)).has_image
    with pytest.raises(ValueError, match="3 of 4 spots"):
        resolve_anndata(made, ResolveOptions(image_key="hires", strays=True))
