"""Bad input gets an error that says what is wrong and what is there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multist.access import PatchReader, get_table, resolve


def without_spatial(adata):
    del adata.obsm["spatial"]


def nan_coordinates(adata):
    adata.obsm["spatial"][3, 0] = np.nan


def one_column(adata):
    adata.obsm["spatial"] = adata.obsm["spatial"][:, :1]


def words(adata):
    adata.obsm["spatial"] = np.full((adata.n_obs, 2), "here")


def duplicates(adata):
    adata.obs_names = ["a", "a", *adata.obs_names[2:]]


def off_the_image(adata):
    adata.obsm["spatial"] *= 50


def one_off_the_image(adata):
    adata.obsm["spatial"][0] = [-500, 10]


def no_image(adata):
    del adata.uns["spatial"]


def no_images(adata):
    adata.uns["spatial"]["s1"]["images"] = {}


def no_factor(adata):
    del adata.uns["spatial"]["s1"]["scalefactors"]["tissue_hires_scalef"]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (without_spatial, KeyError, r"obsm\['spatial'\] not found; obsm holds: none"),
        (nan_coordinates, ValueError, "NaN or infinite coordinates for 1 of"),
        (one_column, ValueError, r"has shape \(70, 1\); expected \(n_obs, 2\)"),
        (words, ValueError, "does not hold numbers"),
        (duplicates, ValueError, "1 duplicate name .*'a'.*obs_names_make_unique"),
        (
            off_the_image,
            ValueError,
            "spots of section 's1' lie off image 'hires'.*on 800 x 600 pixels; check the scale",
        ),
        (one_off_the_image, ValueError, "1 of 70 spots of section 's1' lie off image 'hires'.*; remove these rows"),
        (no_image, KeyError, "^.no image; uns.*holds: none"),
        (no_images, KeyError, "no image for section 's1'; its images: none"),
        (
            no_factor,
            KeyError,
            "'tissue_hires_scalef' not found in .*found: 'tissue_lowres_scalef', 'spot_diameter_fullres'",
        ),
    ],
)
def test_bad_input_is_named(visium, spoil, error, message):
    spoil(visium)
    with pytest.raises(error, match=message):
        resolve(visium, image=True)


@pytest.mark.parametrize("spoil", [no_image, one_off_the_image])
def test_what_can_be_done_instead_is_the_callers(visium, spoil):
    spoil(visium)
    with pytest.raises((KeyError, ValueError), match=", or take another section"):
        resolve(visium, image=True, instead="take another section")


def test_image_key_that_does_not_exist(visium):
    with pytest.raises(KeyError, match=r"image_key 'full' not found in .*\['images'\]; found: 'hires', 'lowres'"):
        resolve(visium, image_key="full")
    del visium.uns["spatial"]
    with pytest.raises(KeyError, match="image_key 'full' not found"):
        resolve(visium, image_key="full")


def test_empty_and_one_spot_tables(visium):
    with pytest.raises(ValueError, match="no observations"):
        resolve(visium[:0])
    record = resolve(visium[:1].copy(), image=True)
    assert record.xy.shape == (1, 2)
    assert PatchReader(record, size=8, pixels=4)[:].shape == (1, 4, 4, 3)


def test_library_key_that_does_not_exist_or_has_gaps(visium):
    with pytest.raises(KeyError, match="library_key 'sample' not found in obs; found: 'spot'"):
        resolve(visium, library_key="sample")
    visium.obs["sample"] = pd.Categorical(["s1"] * (visium.n_obs - 1) + [None])
    with pytest.raises(ValueError, match="names no section for 1 of 70 rows"):
        resolve(visium, library_key="sample")


def test_tables_are_named(make_sdata, visium):
    sdata = make_sdata()
    assert get_table(sdata) is sdata["table"]
    sdata.tables["other"] = sdata["table"].copy()
    with pytest.raises(ValueError, match="several tables; pass table_key, one of: 'table', 'other'"):
        resolve(sdata)
    assert resolve(sdata, table_key="other").table is sdata["other"]
    with pytest.raises(KeyError, match="table_key 'x' not found in sdata.tables; found: 'table', 'other'"):
        resolve(sdata, table_key="x")
    del sdata["other"].uns["spatialdata_attrs"]
    with pytest.raises(ValueError, match="annotates no shapes, labels or points"):
        resolve(sdata, table_key="other")
    with pytest.raises(ValueError, match="data is an AnnData"):
        resolve(visium, table_key="table")
    with pytest.raises(TypeError, match="must be an AnnData or a SpatialData, not ndarray"):
        resolve(visium.X)
    with pytest.raises(ValueError, match="image must be True, False or 'auto'"):
        resolve(visium, image="yes")


def test_a_region_that_is_not_there(make_sdata):
    sdata = make_sdata()
    del sdata.shapes["spots"]
    with pytest.raises(KeyError, match="region 'spots', which is not there; found: none"):
        resolve(sdata)
