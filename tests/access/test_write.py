"""Results are written whole or not at all, where they belong, and can be stored."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from spatialdata import SpatialData
from spatialdata.models import Image2DModel
from spatialdata.transformations import Identity, Scale, get_transformation, set_transformation
from xarray import DataTree

from multist.access import PatchReader, resolve, run
from multist.access.images import element_scales
from multist.access.pyramid import image_element
from multist.access.tables import copy_data
from multist.access.write import write_image


def snapshot(adata):
    groups = {group: list(getattr(adata, group)) for group in ("obs", "obsm", "obsp", "uns", "layers", "var")}
    return groups, adata.X.copy(), adata.obs.copy()


def assert_same(adata, before):
    after = snapshot(adata)
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])
    pd.testing.assert_frame_equal(after[2], before[2])


def write(data, **fields):
    with run(data, "test") as work:
        work.part.write(**fields)


def results(n):
    return {
        "obs": {"label": pd.Categorical(["1", "2"] * (n // 2)), "weight": np.linspace(0, 1, n)},
        "obsm": {"X_new": np.ones((n, 2), dtype=np.float32)},
        "obsp": {"graph": sparse.eye(n, format="csr")},
        "uns": {"multist": {"params": {"a": 1}}},
    }


def test_everything_is_written_and_survives_h5ad(visium, tmp_path):
    write(visium, **results(visium.n_obs))
    visium.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert back.obs["label"].dtype == "category"
    np.testing.assert_array_equal(back.obs["weight"], np.linspace(0, 1, visium.n_obs))
    assert back.obsm["X_new"].dtype == np.float32
    assert back.obsp["graph"].nnz == visium.n_obs
    assert back.uns["multist"]["params"]["a"] == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"obs": {"short": np.ones(3)}}, r"obs\['short'\] has shape \(3,\); the table has 70 rows"),
        ({"obsm": {"flat": np.ones(70)}}, r"obsm\['flat'\] has shape \(70,\); expected \(70, d\)"),
        ({"obsp": {"half": sparse.eye(35)}}, r"obsp\['half'\] has shape \(35, 35\); expected \(70, 70\)"),
        ({"obsp": {"wide": np.ones((70, 2))}}, r"obsp\['wide'\] has shape \(70, 2\); expected \(70, 70\)"),
        ({"obsm": {"deep": np.ones((70, 2, 2))}}, r"obsm\['deep'\] has shape \(70, 2, 2\)"),
        ({"obsm": {"short": np.ones((69, 2))}}, r"obsm\['short'\] has shape \(69, 2\)"),
        ({"obs": {"my label": np.ones(70)}}, "obs key 'my label' cannot be stored in a SpatialData"),
        ({"uns": {"__x": 1}}, "uns key '__x' cannot be stored"),
        ({"obs": {"_index": np.ones(70)}}, "obs key '_index' cannot be stored"),
        ({"obs": {"Spot": np.ones(70)}}, "obs key 'Spot' differs from 'spot' in case only"),
        ({"obsm": {"X_a": np.ones((70, 1)), "x_A": np.ones((70, 1))}}, "obsm key 'x_A' differs from 'X_a'"),
    ],
)
def test_what_cannot_be_written_leaves_the_table_as_it_was(visium, bad, message):
    before = snapshot(visium)
    good = results(visium.n_obs)
    with pytest.raises(ValueError, match=message):
        write(visium, **{**good, **{group: {**good[group], **entries} for group, entries in bad.items()}})
    assert_same(visium, before)


def test_series_are_written_by_position(visium):
    write(visium, obs={"place": pd.Series(np.arange(visium.n_obs), index=visium.obs_names[::-1])})
    np.testing.assert_array_equal(visium.obs["place"], np.arange(visium.n_obs))


def test_dicts_in_uns_keep_their_other_entries_and_are_not_shared(visium):
    mine = {"schema": 1, "kept": 1, "params": 0}
    visium.uns["multist"] = mine
    write(visium, uns={"multist": {"params": 2}})
    assert visium.uns["multist"]["kept"] == 1 and visium.uns["multist"]["params"] == 2
    assert mine == {"schema": 1, "kept": 1, "params": 0}


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_a_view_becomes_a_copy_and_its_parent_stays(visium):
    before = snapshot(visium)
    view = visium[::2]
    with run(view, "test") as work:
        work.part.write(**results(35) | {"obs": {"label": np.arange(35)}})
        work.part.write_images(work.part.record, [[255 - work.part.record.images[0].levels[0]]])
    assert not view.is_view
    assert view.obs["label"].tolist() == list(range(35))
    assert view.uns["multist"]["params"]["a"] == 1
    assert "hires_normalized" in view.uns["spatial"]["s1"]["images"]
    assert_same(visium, before)
    assert "hires_normalized" not in visium.uns["spatial"]["s1"]["images"]


def test_image_in_visium_form(visium, painted):
    record = resolve(visium)
    shared = visium.uns["spatial"]
    assert write_image(visium, record, [[255 - record.images[0].levels[0]]], None, {}) == ("hires_normalized",)
    entry = visium.uns["spatial"]["s1"]
    np.testing.assert_array_equal(entry["images"]["hires_normalized"], 255 - painted.image)
    assert isinstance(entry["images"]["hires_normalized"], np.ndarray)
    assert entry["scalefactors"]["tissue_hires_normalized_scalef"] == 0.25
    assert "hires_normalized" not in shared["s1"]["images"]
    assert resolve(visium).images[0].key == "hires_normalized"
    # normalising what is normalised replaces it only under another name
    with pytest.raises(ValueError, match="'hires_normalized' is that of the source image"):
        write_image(visium, resolve(visium), [record.images[0].levels], None, {})


@pytest.mark.slow
@pytest.mark.parametrize("scale_factors", [None, [2, 2]])
def test_image_of_a_spatialdata(make_sdata, toy, scale_factors, tmp_path):
    transformation = toy.affine([[0.7, 0.4], [-0.3, 1.9]], (150, -80))
    sdata = make_sdata(transformation, scale_factors=scale_factors)
    set_transformation(sdata["he"], Identity(), "alone")
    record = resolve(sdata)
    levels = [da.roll(level, 1, axis=2) for level in record.images[0].levels]
    assert write_image(sdata, record, [levels], None, sdata.images) == ("he_normalized",)
    new = resolve(sdata)
    assert new.images[0].key == "he_normalized"
    assert new.images[0].downsample == record.images[0].downsample
    assert [level.shape for level in new.images[0].levels] == [level.shape for level in record.images[0].levels]
    np.testing.assert_allclose(new.xy, record.xy)
    assert get_transformation(sdata["he_normalized"], get_all=True).keys() == {"global", "alone"}
    spots = sdata["table"].obs["instance"].to_numpy()
    for pixels in (24, 12, 6):
        found = np.roll(PatchReader(new, size=24, pixels=pixels)[:], -1, axis=3)
        np.testing.assert_array_equal(toy.spot_of(found), spots)
    sdata.write(tmp_path / "s.zarr")
    back = resolve(SpatialData.read(tmp_path / "s.zarr"))
    assert back.images[0].downsample == new.images[0].downsample
    np.testing.assert_array_equal(back.images[0].levels[-1].compute(), new.images[0].levels[-1].compute())
    np.testing.assert_allclose(back.xy, record.xy)


def test_levels_whose_pixels_are_not_square_are_left_out(make_sdata):
    sdata = make_sdata(scale_factors=[2, 2])
    sdata["he"]["scale1"] = DataTree(sdata["he"]["scale1"].to_dataset().isel(y=slice(None, None, 2)))
    assert [scale.shape for scale in element_scales(sdata["he"])] == [(3, 600, 800), (3, 150, 400), (3, 150, 200)]
    with run(sdata, "test") as work:
        work.part.write_images(work.part.record, [work.part.record.images[0].levels])
    scales = element_scales(sdata["he_normalized"])
    assert [scale.shape for scale in scales] == [(3, 600, 800), (3, 150, 200)]
    np.testing.assert_allclose(scales[1].coords["y"], 4 * (np.arange(150) + 0.5))


def test_images_stay_lazy_in_a_spatialdata(make_sdata):
    sdata = make_sdata(scale_factors=[2])
    record = resolve(sdata)
    computed = []

    def watched(block):
        computed.append(block.shape)
        return block

    levels = [
        level.map_blocks(watched, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
        for level in record.images[0].levels
    ]
    write_image(sdata, record, [levels], None, sdata.images)
    assert computed == []


def test_images_that_cannot_be_put_there_are_named(make_sdata):
    sdata = make_sdata(scale_factors=[2])
    record = resolve(sdata)
    pyramids = [record.images[0].levels]
    with pytest.raises(ValueError, match="'spots' is the name of another element"):
        write_image(sdata, record, pyramids, "spots", sdata.images)
    with pytest.raises(ValueError, match="cannot be stored"):
        write_image(sdata, record, pyramids, "a b", sdata.images)
    assert list(sdata.images) == ["he"]


def test_two_sections_on_two_images(painted, toy):
    n = len(painted.xy)
    image = np.moveaxis(painted.image, 2, 0)
    images = {f"he_{s}": Image2DModel.parse(image, dims=("c", "y", "x"), transformations={s: Identity()}) for s in "ab"}
    shapes = {f"spots_{s}": toy.circles(painted.xy, np.arange(n), {s: Identity()}) for s in "ab"}
    table = toy.table_of(np.tile(np.arange(n), 2), np.repeat(["spots_a", "spots_b"], n))
    sdata = SpatialData(images=images, shapes=shapes, tables={"table": table})
    record = resolve(sdata)
    pyramids = [image.levels for image in record.images]
    with pytest.raises(ValueError, match="two different images would be written to 'new'; give each a name of its own"):
        write_image(sdata, record, pyramids, "new", sdata.images)
    assert write_image(sdata, record, pyramids, None, sdata.images) == ("he_a_normalized", "he_b_normalized")
    assert set(sdata.images) == {"he_a", "he_b", "he_a_normalized", "he_b_normalized"}


def test_a_copy_takes_the_results_and_the_original_does_not(make_sdata, visium):
    for data in (visium, make_sdata()):
        copied = copy_data(data)
        with run(copied, "test") as work:
            record = work.part.record
            work.part.write(obs={"new": np.arange(len(record.xy))})
            work.part.write_images(record, [record.images[0].levels])
        original = resolve(data)
        assert "new" not in original.table.obs
        assert original.images[0].key in {"he", "hires"}
        assert resolve(copied).images[0].key in {"he_normalized", "hires_normalized"}


def test_pixels_of_coarser_levels_lie_where_they_lie_in_the_finest():
    levels = [da.zeros(shape, np.uint8) for shape in ((12, 8, 3), (6, 4, 3), (3, 2, 3))]
    element = image_element(levels, ["r", "g", "b"], {"um": Scale([0.5, 0.25], axes=("x", "y"))})
    for factor, scale in zip((1, 2, 4), element_scales(element), strict=True):
        np.testing.assert_allclose(scale.coords["y"], factor * (np.arange(12 // factor) + 0.5))
        np.testing.assert_allclose(scale.coords["x"], factor * (np.arange(8 // factor) + 0.5))
    to_microns = get_transformation(element, "um").to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(np.diag(to_microns), [0.5, 0.25, 1])
    single = image_element(levels[:1], ["r", "g", "b"], {"global": Identity()})
    assert not hasattr(single, "children") and set(get_transformation(single, get_all=True)) == {"global"}
