"""Every plot is drawn without the image, and over an image that some or most spots do not lie on."""

from __future__ import annotations

import inspect

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.access.tables import copy_data

pytestmark = pytest.mark.slow  # nearly all of them draw or read images

PLOTS = {
    "domains": lambda data, **keys: mt.pl.domains(data, **keys),
    "modality_weights": lambda data, **keys: mt.pl.modality_weights(data, **keys),
    "pseudotime": lambda data, **keys: mt.pl.pseudotime(data, genes=[], **keys),
    "attention": lambda data, **keys: mt.pl.attention(data, table_of(data).obs_names[:1], **keys),
    "borders": lambda data, **keys: mt.pl.borders(data, **keys),
}


def table_of(data) -> ad.AnnData:
    return data if isinstance(data, ad.AnnData) else data["table"]


@pytest.fixture(scope="module")
def finished(made_tissue):
    """Both forms with results of every kind."""
    mt.settings.progress = False
    config = mt.tl.MultiSTConfig(epochs=3)
    done = []
    for data in (copy_data(made_tissue[0]), made_tissue[1].copy()):
        table = table_of(data)
        codes = table.obs["domain"].astype("category").cat.codes.to_numpy()
        # an image that tells the domains takes part, so that there is attention to draw
        table.obsm["X_histology"] = np.eye(codes.max() + 1)[codes] + 0.1 * np.random.default_rng(0).normal(
            size=(table.n_obs, codes.max() + 1)
        )
        mt.tl.multist_domains(data, 3, config=config)
        mt.tl.pseudotime(data, root="0")
        names = table_of(data).var_names
        mt.tl.interactions(data, pd.DataFrame({"source": names[:1], "target": names[1:2]}), n_perms=20, min_edges=1)
        done.append(data)
    return done


def moved(finished, form: str, share: float):
    """The first spots, or most of them, are far off the image."""
    data = copy_data(finished[form == "anndata"])
    table = table_of(data)
    rows = slice(0, max(1, int(share * table.n_obs)))
    if form == "anndata":
        table.obsm["spatial"] = table.obsm["spatial"].copy()
        table.obsm["spatial"][rows, 0] += 20_000
        return data
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import get_transformation

    (key,) = data.shapes
    frame = data.shapes[key]
    instances = table.obs[table.uns["spatialdata_attrs"]["instance_key"]].to_numpy()[rows]
    xy = np.column_stack([frame.geometry.x, frame.geometry.y])
    xy[frame.index.isin(instances), 0] += 20_000
    data.shapes[key] = ShapesModel.parse(
        xy,
        geometry=0,
        radius=frame["radius"].to_numpy(),
        index=frame.index,
        transformations=get_transformation(frame, get_all=True),
    )
    return data


def images_of(axes) -> list:
    return [image for ax in np.atleast_1d(np.asarray(axes, dtype=object)).ravel() for image in ax.images]


@pytest.mark.parametrize("form", ["anndata", "spatialdata"])
@pytest.mark.parametrize("share", [0.0, 0.7])
@pytest.mark.parametrize("name", PLOTS)
def test_spots_off_the_image_are_drawn_with_a_warning(finished, name, form, share, caplog):
    axes = PLOTS[name](moved(finished, form, share), show=False)
    assert "lie off image" in caplog.text
    left_out = "the image is left out" in caplog.text
    assert left_out == (share > 0.5)
    if left_out and name in ("domains", "attention", "borders"):
        drawn = images_of(axes)
        assert all(image.get_array().ndim == 2 for image in drawn), "a matrix may be drawn, the photograph is not"


@pytest.mark.parametrize("form", ["anndata", "spatialdata"])
@pytest.mark.parametrize("name", PLOTS)
def test_none_draws_no_image_and_looks_at_none(finished, name, form, caplog):
    axes = PLOTS[name](moved(finished, form, 0.7), image_key=None, show=False)
    assert "lie off image" not in caplog.text
    assert all(image.get_array().ndim == 2 for image in images_of(axes))


@pytest.mark.parametrize("name", PLOTS)
def test_a_named_image_that_most_spots_do_not_lie_on_is_refused(finished, name):
    data = moved(finished, "anndata", 0.7)
    with pytest.raises(ValueError, match="lie off image 'hires'.*check the scale factor"):
        PLOTS[name](data, image_key="hires", show=False)


def test_every_plot_of_spots_takes_the_same_argument():
    for name in PLOTS:
        assert inspect.signature(getattr(mt.pl, name)).parameters["image_key"].default == "auto"


def test_patches_need_an_image(finished):
    with pytest.raises(ValueError, match="pl.histology draws patches of an image"):
        mt.pl.histology(finished[1], image_key=None, show=False)
    axes = mt.pl.histology(moved(finished, "anndata", 0.0), show=False)
    assert len(axes) > 1
