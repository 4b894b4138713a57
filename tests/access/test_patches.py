"""Patch i belongs to row i, whatever lies between spots and image, and little of the image is read."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from spatialdata.transformations import Identity, MapAxis, Scale, Sequence, Translation, set_transformation

from multist import _chunks
from multist.access import PatchReader, SectionImage, SpatialRecord, patches, resolve


def rotation(degrees, shift=(0, 0)):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return [[c, -s], [s, c]], shift


@pytest.fixture(
    params=["identity", "scale", "anisotropic", "flip", "rotation", "affine", "both", "sequence", "swapped axes"]
)
def transformations(request, toy):
    """Image to world, spots to world."""
    flip = toy.affine([[-1, 0], [0, 1]], (800, 0))
    general = toy.affine([[0.7, 0.4], [-0.3, 1.9]], (150, -80))
    return {
        "identity": (Identity(), Identity()),
        "scale": (Scale([2.5, 2.5], axes=("x", "y")), Identity()),
        "anisotropic": (Identity(), Scale([0.5, 3], axes=("x", "y"))),
        "flip": (flip, Identity()),
        "rotation": (toy.affine(*rotation(30, (10, 500))), Identity()),
        "affine": (Identity(), general),
        "both": (general, toy.affine(*rotation(-75, (3, 4)))),
        "sequence": (Sequence([Scale([4, 4], axes=("x", "y")), Translation([7, -9], axes=("x", "y"))]), flip),
        "swapped axes": (Identity(), MapAxis({"x": "y", "y": "x"})),
    }[request.param]


def assert_patches_are_of_their_rows(record, spots, toy, size=24.0):
    """Reduced, as it is, and magnified."""
    for pixels in (6, 24, 51):
        reader = PatchReader(record, size=size, pixels=pixels)
        assert len(reader) == len(spots)
        np.testing.assert_array_equal(toy.spot_of(reader[:]), spots)


@pytest.mark.slow
@pytest.mark.parametrize(("pixels", "batch_size"), [(6, 1000), (24, 1), (24, 7), (51, 7)])
def test_patch_belongs_to_its_row_in_batches_of_any_size(make_sdata, toy, pixels, batch_size):
    general = toy.affine([[0.7, 0.4], [-0.3, 1.9]], (150, -80))
    sdata = make_sdata(general, toy.affine(*rotation(-75, (3, 4))), scale_factors=[2, 2, 2])
    spots = sdata["table"].obs["instance"].to_numpy()
    seen = []
    for rows, found in PatchReader(resolve(sdata), size=24.0, pixels=pixels).batches(batch_size):
        np.testing.assert_array_equal(toy.spot_of(found), spots[rows])
        assert found.shape == (len(rows), pixels, pixels, 3)
        assert found.dtype == np.uint8
        seen.extend(rows)
    assert sorted(seen) == list(range(len(spots)))


def test_rows_have_their_place_in_the_pixels_under_every_transformation(make_sdata, painted, toy, transformations):
    """On which alone patches depend."""
    sdata = make_sdata(*transformations)
    record = resolve(sdata, image=True)
    spots = sdata["table"].obs["instance"].to_numpy()
    assert (spots != np.arange(len(spots))).any()
    np.testing.assert_allclose(record.xy, painted.xy[spots], atol=1e-6)
    np.testing.assert_allclose(record.diameter, 2 * toy.radius, rtol=1e-6)


@pytest.mark.slow
def test_patch_belongs_to_its_row_where_the_image_is_only_in_a_hires_system(make_sdata, painted, toy):
    sdata = make_sdata(system="downscaled_hires")
    matrix = toy.affine([[0.25, 0], [0, 0.25]])
    sdata["spots"]["geometry"] = sdata["spots"].geometry.scale(4, 4, origin=(0, 0))
    sdata["spots"]["radius"] *= 4
    set_transformation(sdata["spots"], {"global": Identity(), "downscaled_hires": matrix}, set_all=True)
    record = resolve(sdata, image=True)
    spots = sdata["table"].obs["instance"].to_numpy()
    np.testing.assert_allclose(record.xy, painted.xy[spots], atol=1e-6)
    np.testing.assert_allclose(record.diameter, 2 * toy.radius)
    assert_patches_are_of_their_rows(record, spots, toy)


@pytest.mark.slow
@pytest.mark.parametrize("image_key", ["hires", "lowres"])
def test_patch_belongs_to_its_row_in_visium_form(visium, toy, image_key):
    record = resolve(visium, image_key=image_key, image=True)
    assert_patches_are_of_their_rows(record, visium.obs["spot"].to_numpy(), toy, size=12.0)


@pytest.mark.slow
def test_coarse_levels_keep_their_place(make_sdata, toy):
    """At each level the disc is in the middle of its patch, on average to a tenth of a patch pixel."""
    record = resolve(make_sdata(scale_factors=[2, 2, 2]))
    assert record.images[0].downsample == (1, 2, 4, 8)
    for pixels in (32, 16, 8):
        reader = PatchReader(record, size=64.0, pixels=pixels)
        assert set(reader._level) == {int(np.log2(64 / pixels))}
        ink = 255 - reader[:].astype(float).min(axis=-1)
        place = np.arange(pixels) + 0.5 - pixels / 2
        total = ink.sum(axis=(1, 2))
        offset = np.stack([(ink * place).sum(axis=(1, 2)), (ink * place[:, None]).sum(axis=(1, 2))]) / total
        assert np.abs(offset.mean(axis=1)).max() < 0.1
        assert np.abs(offset).max() < 0.75


def ramp_record(xy, *, shape=(64, 64), levels=1, chunks=16, diameter=8.0):
    """One section whose red is the column and whose green is the row of the pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([x, y, np.full_like(x, 7)], axis=-1).astype(np.uint8)
    arrays = tuple(da.from_array(image[:: 2**k, :: 2**k], chunks=(chunks, chunks, 3)) for k in range(levels))
    xy = np.asarray(xy, dtype=float)
    picture = SectionImage("ramp", arrays, tuple(2.0**k for k in range(levels)))
    n = len(xy)
    return SpatialRecord(None, xy, np.full(n, diameter), np.zeros(n, int), ("s",), (picture,), (None,)), image


def test_unscaled_patch_is_the_image_itself():
    record, image = ramp_record([[20, 30], [40, 12]])
    found = PatchReader(record, size=10, pixels=10)[:]
    np.testing.assert_array_equal(found[0], image[25:35, 15:25])
    np.testing.assert_array_equal(found[1], image[7:17, 35:45])


def test_reduced_patch_is_the_mean_over_its_pixels():
    record, image = ramp_record([[20, 30]])
    found = PatchReader(record, size=12, pixels=4)[0]
    mean = image[24:36, 14:26].reshape(4, 3, 4, 3, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(found, np.rint(mean))


def test_magnified_patch_is_interpolated_where_it_lies():
    record, _ = ramp_record([[20.3, 30.7]])
    pixels = 40
    found = PatchReader(record, size=10, pixels=pixels)[0]
    # the red of the image at x is x - 0.5, as the first pixel's centre is at 0.5
    expected = 20.3 - 5 + (np.arange(pixels) + 0.5) * 10 / pixels - 0.5
    assert np.abs(found[20, :, 0] - expected).max() <= 0.51
    expected = 30.7 - 5 + (np.arange(pixels) + 0.5) * 10 / pixels - 0.5
    assert np.abs(found[:, 20, 1] - expected).max() <= 0.51


def test_beyond_the_border_is_fill():
    record, image = ramp_record([[0, 0], [64, 64], [32, 32]])
    found = PatchReader(record, size=8, pixels=8, fill=200)[:]
    assert (found[0, :4] == 200).all()
    assert (found[0, :, :4] == 200).all()
    np.testing.assert_array_equal(found[0, 4:, 4:], image[:4, :4])
    np.testing.assert_array_equal(found[1, :4, :4], image[60:, 60:])
    assert (found[1, 4:] == 200).all()
    assert PatchReader(record, size=200, pixels=10)[2].shape == (10, 10, 3)


def test_sizes_of_their_own():
    record, image = ramp_record([[20, 20], [40, 40]])
    found = PatchReader(record, size=np.array([4.0, 8.0]), pixels=4)[:]
    np.testing.assert_array_equal(found[0], image[18:22, 18:22])
    np.testing.assert_array_equal(found[1, :, 0, 1], np.rint([36.5, 38.5, 40.5, 42.5]))


def test_rows_may_be_chosen_like_those_of_an_array():
    rng = np.random.default_rng(0)
    record, _ = ramp_record(rng.uniform(8, 56, (20, 2)))
    reader = PatchReader(record, size=6, pixels=6)
    everything = reader[:]
    np.testing.assert_array_equal(reader[[3, 3, -1]], everything[[3, 3, -1]])
    np.testing.assert_array_equal(reader[4], everything[4])
    np.testing.assert_array_equal(reader[np.arange(20) % 2 == 0], everything[::2])
    assert reader[[]].shape == (0, 6, 6, 3)
    with pytest.raises(IndexError):
        reader[20]


def counted_record(spots, *, side, chunk):
    """A lazy image that counts which of its chunks are computed."""
    computed: list[tuple[int, int]] = []

    def block(block_info=None):
        place = block_info[None]["chunk-location"]
        computed.append(place[:2])
        return np.full(block_info[None]["chunk-shape"], 100, dtype=np.uint8)

    sizes = (chunk,) * (side // chunk)
    image = da.map_blocks(block, chunks=(sizes, sizes, (3,)), dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))
    picture = SectionImage("he", (image,), (1.0,))
    n = len(spots)
    return SpatialRecord(None, spots, np.full(n, 50.0), np.zeros(n, int), ("s",), (picture,), (None,)), computed


@pytest.mark.slow
def test_only_the_chunks_under_the_patches_are_read():
    """A slide of 100,000 x 100,000 pixels, 30 GB: only a corner of it may be touched."""
    spots = np.random.default_rng(0).uniform(30_000, 34_000, (200, 2))
    record, computed = counted_record(spots, side=102_400, chunk=1024)
    found = PatchReader(record, size=64, pixels=32)[:]
    assert (found == 100).all()
    assert {place for pair in computed for place in pair} <= set(range(29, 34))
    assert len(computed) == len(set(computed)) <= 25


@pytest.mark.slow
def test_chunks_are_read_about_once_and_few_are_held(monkeypatch):
    """With a cache of eight chunks, half a row of them, few chunks of a shuffled table are read twice."""
    spots = np.random.default_rng(0).uniform(100, 8092, (4000, 2))
    record, computed = counted_record(spots, side=8192, chunk=512)
    monkeypatch.setattr(_chunks, "CACHE_BYTES", 8 * 512 * 512 * 3)
    reader = PatchReader(record, size=120, pixels=20)
    most = 0
    for _ in reader.batches(100):
        most = max(most, reader._chunks.nbytes)
    assert most <= 8 * 512 * 512 * 3
    assert len(set(computed)) == 256
    assert len(computed) < 2.2 * 256


def test_sections_read_their_own_image():
    first, image = ramp_record([[20, 20]])
    second = SectionImage("dark", (da.zeros((64, 64, 3), chunks=16, dtype=np.uint8),), (1.0,))
    xy = np.array([[20.0, 20], [20, 20], [30, 30]])
    section = np.array([1, 0, 1])
    record = SpatialRecord(None, xy, np.ones(3), section, ("a", "b"), (first.images[0], second), (None, None))
    found = PatchReader(record, size=6, pixels=6)[:]
    np.testing.assert_array_equal(found[1], image[17:23, 17:23])
    assert not found[[0, 2]].any()


def test_bad_requests_are_named():
    record, _ = ramp_record([[20, 20], [30, 30]])
    for size in (0, -1, np.nan, np.array([1.0, np.nan])):
        with pytest.raises(ValueError, match="positive and finite"):
            PatchReader(record, size=size, pixels=8)
    with pytest.raises(ValueError, match=r"\(2,\), one per spot"):
        PatchReader(record, size=np.ones(3), pixels=8)
    with pytest.raises(ValueError, match="pixels must be at least 1"):
        PatchReader(record, size=4, pixels=0)
    with pytest.raises(ValueError, match="batch_size"):
        next(PatchReader(record, size=4, pixels=4).batches(0))
    without = SpatialRecord(None, record.xy, record.diameter, record.section, ("s",), (None,), (None,))
    with pytest.raises(ValueError, match="no image for section 's'"):
        PatchReader(without, size=4, pixels=4)


def test_the_level_is_the_coarsest_that_is_as_fine_as_the_patch():
    record, _ = ramp_record([[32, 32]], levels=3)
    (image,) = record.images
    assert [patches._pick_level(image, pixel) for pixel in (0.5, 1, 1.99, 1.999, 2, 3.9, 4, 100)] == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
    ]


def test_a_patch_touches_whole_pixels_and_half_of_one_more_where_it_is_magnified():
    assert patches._extent(np.array([3.0, 5.0]), 4.0, 4) == (5, 9, 3, 7)
    assert patches._extent(np.array([3.2, 5.0]), 4.0, 2) == (5, 9, 3, 8)
    # eight pixels of a half each: a quarter of a pixel on either side
    assert patches._extent(np.array([3.2, 5.3]), 4.0, 8) == (5, 10, 2, 8)
    assert patches._extent(np.array([3.25, 5.0]), 4.0, 8) == (4, 10, 3, 8)


def test_shares_of_the_pixels_under_a_patch_by_hand():
    index, weight = patches._area_weights(0.5, 1.5, 2, 4)  # from .5 to 2 and from 2 to 3.5
    np.testing.assert_array_equal(index[:, :3], [[0, 1, 2], [2, 3, 3]])
    np.testing.assert_allclose(weight @ np.ones(weight.shape[1]), 1)
    np.testing.assert_allclose(weight[0, :2], [1 / 3, 2 / 3])
    np.testing.assert_allclose(weight[1, :2], [2 / 3, 1 / 3])
    # finer than the image: between the centres of two pixels
    index, weight = patches._area_weights(1.0, 0.5, 2, 4)
    np.testing.assert_array_equal(index[:, :2], [[0, 1], [1, 2]])
    np.testing.assert_allclose(weight[:, :2], [[0.25, 0.75], [0.75, 0.25]])


def dark(value: int, lit: int | None = None) -> SpatialRecord:
    """Sixty spots down an image of one value, of which one shows light."""
    xy = np.column_stack([np.full(60, 50.0), np.arange(60) * 10.0 + 5])
    image = np.full((600, 100, 3), value, np.uint8)
    if lit is not None:
        image[lit * 10 : lit * 10 + 10] = 255
    picture = SectionImage("he", (da.from_array(image),), (1.0,))
    return SpatialRecord(None, xy, np.full(60, 4.0), np.zeros(60, int), ("s",), (picture,), (None,))


@pytest.mark.parametrize(("value", "black"), [(0, True), (11, True), (12, False), (200, False)])
def test_what_is_black(value, black):
    assert patches.unstained_sections(dark(value)) == ({patches.BLACK: ("s",)} if black else {})


@pytest.mark.parametrize(
    ("color", "stained"), [((150, 60, 140), True), ((0, 0, 200), False), ((37, 15, 35), True), ((20, 60, 160), False)]
)
def test_stained_tissue_has_some_light_of_every_colour(color, stained):
    record = dark(0)
    image = np.zeros((600, 100, 3), np.uint8)
    image[200:] = color  # a third of the spots lie on a black frame, or where nothing fluoresces
    record = replace(record, images=(SectionImage("he", (da.from_array(image),), (1.0,)),))
    assert patches.unstained_sections(record) == ({} if stained else {patches.FLUORESCENT: ("s",)})
    patches.refuse_unstained(record, fluorescent=False)
    if not stained:
        with pytest.raises(ValueError, match="is fluorescence by its colours under the spots of section 's'"):
            patches.refuse_unstained(record)


@pytest.mark.slow
@pytest.mark.parametrize("lit", [0, 59])
def test_light_under_the_first_or_the_last_spot_is_seen(lit):
    assert patches.unstained_sections(dark(0, lit)) == {}
    patches.refuse_unstained(dark(0, lit))
    with pytest.raises(ValueError, match=r"the image \('he'\) is black under all spots of section 's'"):
        patches.refuse_unstained(dark(0))


def test_a_patch_may_reach_over_half_of_the_image_and_no_farther():
    record, _ = ramp_record([[32, 32], [10, 10]])
    patches.check_patches(record, np.array([20.0, 128.0]))
    with pytest.raises(ValueError, match="half a patch"):
        patches.check_patches(record, np.array([20.0, 129.0]))
    patches.check_patches(replace(record, images=(None,)), np.array([20.0, 129.0]))
