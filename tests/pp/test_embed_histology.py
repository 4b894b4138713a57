from __future__ import annotations

import time

import anndata as ad
import numpy as np
import pytest
import torch

from multist.access import PatchReader, resolve
from multist.histology.texture import feature_names
from multist.pp import embed_histology, normalize_histology

SCALE = 0.5


def section(seed: int = 0, side: int = 400) -> ad.AnnData:
    """An image whose colour encodes the spot; hires is half the full resolution."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(30, 380, 40), np.arange(30, 380, 40))
    xy = np.column_stack([x.ravel(), y.ravel()])
    image = np.full((side, side, 3), 235, np.uint8)
    colours = rng.integers(60, 200, (len(xy), 3)).astype(np.uint8)
    for (cx, cy), colour in zip(xy, colours, strict=True):
        image[cy - 15 : cy + 15, cx - 15 : cx + 15] = colour
    adata = ad.AnnData(np.ones((len(xy), 2), np.float32))
    adata.obs_names = [f"{seed}_{i}" for i in range(len(xy))]
    adata.obsm["spatial"] = xy / SCALE
    adata.obsm["colour"] = colours
    scalefactors = {"tissue_hires_scalef": SCALE, "spot_diameter_fullres": 20 / SCALE}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": scalefactors}}
    return adata


def mean_colour(batch):
    return batch.mean(dim=(2, 3)) * 255


@pytest.mark.slow
def test_texture_is_written_with_its_parameters():
    adata = section()
    x = adata.X.copy()
    assert embed_histology(adata) is None
    assert adata.obsm["X_histology"].shape == (adata.n_obs, len(feature_names()))
    assert adata.obsm["X_histology"].dtype == np.float32
    params = adata.uns["multist"]["histology"]
    assert params["encoder"] == "texture" and params["patch_size"] == 2.0 and params["patch_unit"] == "spot"
    assert list(params["feature_names"]) == feature_names() and list(params["image_key"]) == ["hires"]
    assert np.array_equal(adata.X, x)


@pytest.mark.slow
def test_the_next_patches_are_read_while_an_encoder_works(monkeypatch):
    """And what is wrong with them is said all the same."""
    batches, read, encoded = PatchReader.batches, [], []

    def told(reader, *arguments, **options):
        for batch in batches(reader, *arguments, **options):
            read.append(len(batch[0]))
            yield batch

    def slow(batch):
        encoded.append(len(batch))
        ahead, start = min(len(encoded) + 1, 9), time.monotonic()
        while len(read) < ahead and time.monotonic() - start < 10:
            time.sleep(0.001)
        assert len(read) == ahead
        return mean_colour(batch)

    monkeypatch.setattr(PatchReader, "batches", told)
    embed_histology(section(), slow, batch_size=9, device="cpu")
    assert read == [9] * 9

    def torn(reader, *arguments, **options):
        yield from list(batches(reader, *arguments, **options))[:2]
        raise OSError("a chunk is damaged")

    monkeypatch.setattr(PatchReader, "batches", torn)
    adata = section()
    with pytest.raises(OSError, match="a chunk is damaged"):
        embed_histology(adata, mean_colour, batch_size=9, device="cpu")
    assert "X_histology" not in adata.obsm


@pytest.mark.slow
def test_patch_i_belongs_to_row_i_in_any_order():
    adata = section()
    order = np.random.default_rng(3).permutation(adata.n_obs)
    shuffled = adata[order].copy()
    for data in (adata, shuffled):
        embed_histology(data, mean_colour, patch_size=1.0, batch_size=7, device="cpu")
        assert np.abs(data.obsm["X_histology"] - data.obsm["colour"]).max() < 1.5


@pytest.mark.slow
def test_micrometres_need_the_size_of_a_pixel_which_the_call_or_the_data_says():
    adata = section()
    with pytest.raises(ValueError, match="microns_per_pixel"):
        embed_histology(adata, mean_colour, patch_size=10, patch_unit="um")
    assert "X_histology" not in adata.obsm and "multist" not in adata.uns
    embed_histology(adata, mean_colour, patch_size=20, patch_unit="um", microns_per_pixel=1.0, key_added="inner")
    embed_histology(adata, mean_colour, patch_size=40, patch_unit="um", microns_per_pixel=1.0, key_added="outer")
    assert np.abs(adata.obsm["inner"] - adata.obsm["colour"]).max() < 1.5
    assert (adata.obsm["outer"] > adata.obsm["colour"] + 10).all(), "the wider patch reaches the white around"
    adata.uns["spatial"]["s"]["scalefactors"]["microns_per_pixel"] = 0.5  # full resolution: 1 um a pixel of hires
    embed_histology(adata, mean_colour, patch_size=20, patch_unit="um")
    np.testing.assert_array_equal(adata.obsm["X_histology"], adata.obsm["inner"])


@pytest.mark.slow
def test_each_section_is_embedded_on_its_own_image_and_a_copy_leaves_the_input_alone():
    a, b = section(0), section(1)
    both = ad.concat([a, b], keys=["a", "b"], label="library")
    both.uns["spatial"] = {"a": a.uns["spatial"]["s"], "b": b.uns["spatial"]["s"]}
    result = embed_histology(both, library_key="library", copy=True)
    assert "X_histology" not in both.obsm and "multist" not in both.uns
    for one, name in ((a, "a"), (b, "b")):
        embed_histology(one)
        got = result[result.obs["library"] == name].obsm["X_histology"]
        np.testing.assert_allclose(got, one.obsm["X_histology"], atol=1e-6)


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.patches = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.patches += len(x)
        return self.norm(x).mean(dim=(2, 3))


@pytest.mark.slow
def test_network_sees_every_patch_once_and_is_left_as_it_was():
    adata, network = section(), Counting().train()
    before = network.norm.running_mean.clone()
    state = torch.random.get_rng_state()
    embed_histology(adata, network, batch_size=16)
    assert network.patches == adata.n_obs
    assert network.training and torch.equal(network.norm.running_mean, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert adata.uns["multist"]["histology"]["encoder"] == "Counting"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [({"patch_unit": "px"}, ValueError, "'spot' or 'um'"), ({"image_key": "lowres"}, KeyError, "hires")],
)
def test_bad_input_is_named_and_nothing_written(change, error, message):
    adata = section()
    with pytest.raises(error, match=message):
        embed_histology(adata, **change)
    assert "X_histology" not in adata.obsm and "multist" not in adata.uns


@pytest.mark.slow
def test_normalized_image_is_preferred():
    adata = section()
    entry = adata.uns["spatial"]["s"]
    entry["images"]["hires_normalized"] = 255 - entry["images"]["hires"]
    entry["scalefactors"]["tissue_hires_normalized_scalef"] = SCALE
    embed_histology(adata, mean_colour, patch_size=1.0)
    assert np.abs(255 - adata.obsm["X_histology"] - adata.obsm["colour"]).max() < 1.5
    assert list(adata.uns["multist"]["histology"]["image_key"]) == ["hires_normalized"]


@pytest.mark.slow
def test_a_real_section(real_data):
    adata = ad.read_h5ad(real_data / "her2st" / "A1.h5ad")
    embed_histology(adata)
    features = adata.obsm["X_histology"]
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).all()
    assert resolve(adata).has_image


@pytest.mark.parametrize(("step", "diameter"), [(embed_histology, 1e5), (normalize_histology, 900.0)])
def test_spots_wider_than_the_image_are_refused_at_once(step, diameter):
    adata = section()
    adata.uns["spatial"]["s"]["scalefactors"]["spot_diameter_fullres"] = diameter
    with pytest.raises(ValueError, match=r"a spot is \d+ pixels wide, but image 'hires' has 400 x 400"):
        step(adata)


def test_patches_that_cover_the_image_from_everywhere_are_refused_at_once():
    with pytest.raises(ValueError, match="half a patch is"):
        embed_histology(section(), patch_size=900.0, patch_unit="um", microns_per_pixel=1.0)


@pytest.mark.slow
def test_a_patch_as_wide_as_the_image_counts_what_lies_on_it():
    """Half of the patch of a spot in the corner is off the image in both directions."""
    adata = section()
    embed_histology(adata, patch_size=400.0, patch_unit="um", microns_per_pixel=1.0)
    names = list(adata.uns["multist"]["histology"]["feature_names"])
    share = adata.obsm["X_histology"][:, names.index("tissue")]
    middle = np.abs(adata.obsm["spatial"] * SCALE - 200).sum(axis=1).argmin()
    corner = adata.obsm["spatial"].sum(axis=1).argmin()
    assert 0.2 < share[corner] / share[middle] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("scale", [7, 0.25])
def test_white_is_asked_for_where_it_cannot_be_told_and_taken_where_it_is_given(scale):
    """A slide in whole or decimal numbers whose lamp was dim."""
    expected, adata = section(), section()
    images = adata.uns["spatial"]["s"]["images"]
    dim = images["hires"].astype(float) / 4
    expected.uns["spatial"]["s"]["images"]["hires"] = np.rint(dim).astype(np.uint8)
    images["hires"] = (dim * scale).round(2 if scale < 1 else 0).astype(np.uint16 if scale > 1 else np.float32)
    white = 255.0 * scale
    for step in (embed_histology, normalize_histology):
        with pytest.raises(ValueError, match="do not tell how large white is.*white="):
            step(adata)
    embed_histology(adata, mean_colour, white=white)
    embed_histology(expected, mean_colour)
    assert np.abs(adata.obsm["X_histology"] - expected.obsm["X_histology"]).max() < 1
    normalize_histology(adata, white=white)
    assert images.keys() == {"hires"} and adata.uns["spatial"]["s"]["images"]["hires_normalized"].dtype == np.uint8
    embed_histology(adata, mean_colour)
    with pytest.raises(ValueError, match="white must be a positive number"):
        embed_histology(adata, white=-1.0)
