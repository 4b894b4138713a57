"""Images that do not fit are named, and left out where that is right.

Several slides go to one stain whatever is named.
"""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest

import multist as mt

pytestmark = pytest.mark.slow  # nearly all of them draw or read images


def half(table: ad.AnnData, name: str, tint: float) -> ad.AnnData:
    """The same section under another name and in another stain."""
    other = table.copy()
    entry = next(iter(table.uns["spatial"].values()))
    image = entry["images"]["hires"].astype(float) * [1, tint, 1]
    other.uns["spatial"] = {name: {**entry, "images": {"hires": image.clip(0, 255).astype(np.uint8)}}}
    return other


@pytest.fixture
def slides(tissue_table: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
    """Two slides of two stains, with half of the spots on each."""
    few = tissue_table[: tissue_table.n_obs // 2]
    return half(few, "A", 1.0), half(few, "B", 0.8)


@pytest.fixture
def two(slides: tuple[ad.AnnData, ad.AnnData]) -> ad.AnnData:
    """The same in one table."""
    parts = dict(zip("AB", slides, strict=True))
    both = ad.concat(parts, label="sample", index_unique="-", uns_merge="unique")
    assert list(both.uns["spatial"]) == ["A", "B"]
    return both


def test_one_section_without_an_image_is_named(two, quick, caplog):
    del two.uns["spatial"]["B"]
    mt.tl.multist_domains(two, 3, library_key="sample", config=quick)
    assert "no image for section 'B': domains from expression and space alone, and the other images are" in caplog.text


def test_one_object_without_an_image_is_named(slides, quick, caplog):
    one, other = slides
    other.uns["spatial"]["B"]["images"] = {}
    mt.tl.multist_domains([one, other], 3, config=quick)
    assert "no image for data[1] in section 'B': domains" in caplog.text
    assert "the other images are not used" in caplog.text and "X_histology" not in one.obsm


def test_several_slides_go_to_one_stain_whatever_is_named(two, untrained):
    expected = two.copy()
    mt.pp.normalize_histology(expected, library_key="sample")
    mt.pp.embed_histology(expected, library_key="sample")
    for image_key in (None, "hires"):
        found = mt.tl.multist_domains(two, 3, library_key="sample", image_key=image_key, config=untrained, copy=True)
        np.testing.assert_array_equal(found.obsm["X_histology"], expected.obsm["X_histology"])
        assert set(found.uns["multist"]["histology"]["image_key"]) == {"hires_normalized"}


def test_a_list_of_slides_goes_to_the_stain_that_one_of_them_has_stored(slides, untrained):
    one, other = slides
    mt.pp.normalize_histology(one)
    stored = one.uns["spatial"]["A"]["images"]["hires_normalized"]
    mt.tl.multist_domains([one, other], 3, image_key="hires", config=untrained)
    np.testing.assert_array_equal(one.uns["spatial"]["A"]["images"]["hires_normalized"], stored)
    means = [each.uns["multist"]["stain_reference"]["mean"] for each in (one, other)]
    np.testing.assert_array_equal(*means)


def test_an_unknown_diameter_is_taken_from_the_spacing(tissue_table, quick, caplog):
    """The image is made so coarse that neighbours are four pixels apart."""
    entry = next(iter(tissue_table.uns["spatial"].values()))
    image, factors = entry["images"]["hires"], entry["scalefactors"]
    spacing = factors["tissue_hires_scalef"] * factors["spot_diameter_fullres"] * 100 / 55
    step = round(spacing / 4)
    entry["images"]["hires"] = image[::step, ::step].copy()
    factors["tissue_hires_scalef"] /= step
    del factors["spot_diameter_fullres"]
    mt.tl.multist_domains(tissue_table, 3, config=quick)
    assert "the image is ignored: a spot is only" in caplog.text
    assert "X_histology" not in tissue_table.obsm


def test_a_black_image_is_said_once_and_left_out(tissue_table, quick, caplog):
    entry = next(iter(tissue_table.uns["spatial"].values()))
    entry["images"]["hires"] = np.zeros(entry["images"]["hires"].shape, "float32")
    entry["images"]["hires"][:3] = 1  # a bright line where no spot is
    with caplog.at_level(logging.WARNING, "multist"):
        mt.tl.multist_domains(tissue_table, 3, config=quick)
    assert [r for r in caplog.messages if "black" in r] == [
        f"the image is ignored: it is black under all spots of section {next(iter(tissue_table.uns['spatial']))!r}; "
        "name another by image_key"
    ]
    assert "X_histology" not in tissue_table.obsm
    for step in (mt.pp.embed_histology, mt.pp.normalize_histology):
        with pytest.raises(ValueError, match="'hires'.* is black under all spots of section"):
            step(tissue_table)


def test_fluorescence_is_no_stain_and_may_be_embedded_by_an_encoder_of_ones_own(tissue_table):
    entry = next(iter(tissue_table.uns["spatial"].values()))
    entry["images"]["hires"] = (255 - entry["images"]["hires"]) * np.array([0, 0, 1], np.uint8)
    for step in (mt.pp.embed_histology, mt.pp.normalize_histology):
        with pytest.raises(ValueError, match="is fluorescence by its colours"):
            step(tissue_table)
    mt.pp.embed_histology(tissue_table, lambda patches: patches.mean(dim=(2, 3)))
    assert "X_histology" in tissue_table.obsm


def test_a_real_folder_with_a_black_image(real_data, quick, caplog):
    squidpy = pytest.importorskip("squidpy")
    adata = squidpy.read.visium(real_data / "spaceranger_tiny", library_id="tiny")
    adata.var_names_make_unique()
    mt.tl.multist_domains(adata, 3, config=quick)
    assert "it is black under all spots of section 'tiny'" in caplog.text and "X_histology" not in adata.obsm
    panel = mt.pl.domains(adata, image_key=None, show=False)
    assert not panel.images
