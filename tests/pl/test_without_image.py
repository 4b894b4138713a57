"""Every plot is drawn without the image, and over an image that some or most spots do not lie on."""

from __future__ import annotations

import inspect

import anndata as ad
import numpy as np
import pytest
from spatialdata import SpatialData
from spatialdata.models import ShapesModel
from spatialdata.transformations import get_transformation

import multist as mt

pytestmark = pytest.mark.slow  # nearly all of them draw or read images

PLOTS = {
    "domains": mt.pl.domains,
    "modality_weights": mt.pl.modality_weights,
    "pseudotime": lambda data, **keys: mt.pl.pseudotime(data, genes=[], **keys),
    "attention": lambda data, **keys: mt.pl.attention(data, data.obs_names[:1], **keys),
    "borders": mt.pl.borders,
}


def moved(section: ad.AnnData, share: float) -> ad.AnnData:
    """The first spots, or most of them, are far off the image."""
    adata = section.copy()
    adata.obsm["spatial"][: max(1, int(share * adata.n_obs)), 0] += 20_000
    return adata


def moved_shapes(tissue: SpatialData, share: float) -> SpatialData:
    """The same of a SpatialData."""
    table = tissue["table"]
    table.obs["multist_domain"] = table.obs["domain"]
    (key,) = tissue.shapes
    frame = tissue.shapes[key]
    instances = table.obs[table.uns["spatialdata_attrs"]["instance_key"]].to_numpy()
    xy = np.column_stack([frame.geometry.x, frame.geometry.y])
    xy[frame.index.isin(instances[: max(1, int(share * table.n_obs))]), 0] += 20_000
    tissue.shapes[key] = ShapesModel.parse(
        xy,
        geometry=0,
        radius=frame["radius"].to_numpy(),
        index=frame.index,
        transformations=get_transformation(frame, get_all=True),
    )
    return tissue


def images_of(axes) -> list:
    return [image for ax in np.atleast_1d(np.asarray(axes, dtype=object)).ravel() for image in ax.images]


def assert_no_photograph(axes) -> None:
    assert all(image.get_array().ndim == 2 for image in images_of(axes)), "a matrix may be drawn, the photograph is not"


@pytest.mark.parametrize("name", PLOTS)
def test_an_image_that_most_spots_lie_off_is_left_out_with_a_warning(everything, name, caplog):
    axes = PLOTS[name](moved(everything, 0.7), show=False)
    assert "lie off image" in caplog.text and "the image is left out" in caplog.text
    assert_no_photograph(axes)


@pytest.mark.parametrize(("form", "share"), [("anndata", 0.0), ("spatialdata", 0.0), ("spatialdata", 0.7)])
def test_an_image_that_few_spots_lie_off_is_drawn_with_a_warning(everything, tissue, form, share, caplog):
    data = moved(everything, share) if form == "anndata" else moved_shapes(tissue, share)
    ax = mt.pl.domains(data, show=False)
    assert "lie off image" in caplog.text
    left_out = share > 0.5
    assert ("the image is left out" in caplog.text) == left_out and bool(ax.images) != left_out


@pytest.mark.parametrize("name", PLOTS)
def test_none_draws_no_image_and_looks_at_none(everything, name, caplog):
    axes = PLOTS[name](moved(everything, 0.7), image_key=None, show=False)
    assert "lie off image" not in caplog.text
    assert_no_photograph(axes)


def test_none_draws_no_image_of_a_spatialdata(tissue, caplog):
    ax = mt.pl.domains(moved_shapes(tissue, 0.7), image_key=None, show=False)
    assert "lie off image" not in caplog.text and not ax.images


def test_a_named_image_that_most_spots_do_not_lie_on_is_refused(everything):
    with pytest.raises(ValueError, match="lie off image 'hires'.*check the scale factor"):
        mt.pl.domains(moved(everything, 0.7), image_key="hires", show=False)


def test_every_plot_of_spots_takes_the_same_argument():
    for name in PLOTS:
        assert inspect.signature(getattr(mt.pl, name)).parameters["image_key"].default == "auto"


def test_patches_need_an_image(everything):
    with pytest.raises(ValueError, match="pl.histology draws patches of an image"):
        mt.pl.histology(everything, image_key=None, show=False)
    axes = mt.pl.histology(moved(everything, 0.0), show=False)
    assert len(axes) > 1
