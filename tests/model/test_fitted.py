"""A fitted model embeds what it was fitted on as it did then, comes back from its parts, and leaves noise aside."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.config import MultiSTConfig, PublishedLosses
from multist.model.features.averaging import STEPS, Averaging
from multist.model.features.image_axes import ImageAxes
from multist.model.fitted import _MAX_DEVIATIONS, Embedding, FusionModel, Modality, warn_of_image_alone
from multist.model.fitted_parts import model_of_parts, parts_of

QUICK = MultiSTConfig(epochs=10)
CONFIGS = {
    "trained": QUICK,
    "not trained": QUICK.replace(epochs=0),
    "published": MultiSTConfig.published().replace(epochs=2),
    "published, narrow": MultiSTConfig.published().replace(epochs=2, losses=PublishedLosses(n_factors=3)),
}


def fit(tissue, config: MultiSTConfig = QUICK, *, image: np.ndarray | bool = True, **kwargs):
    picture = {True: tissue.image, False: None}.get(image) if isinstance(image, bool) else image
    options = {"n_domains": 3, "device": "cpu"} | kwargs
    return FusionModel.fit(tissue.expression, picture, tissue.adjacency, tissue.xy, config, **options)


def embed(model: FusionModel, tissue, image: bool = True) -> Embedding:
    section = np.zeros(len(tissue.xy), np.int64)
    picture = tissue.image if image else None
    return model.embed(tissue.expression, picture, tissue.adjacency, section, device="cpu")


def assert_same(one: Embedding, other: Embedding) -> None:
    np.testing.assert_array_equal(one.code, other.code)
    np.testing.assert_array_equal(one.image_weight, other.image_weight)
    assert (one.attention is None) == (other.attention is None)
    if one.attention is not None:
        assert (one.attention != other.attention).nnz == 0


@pytest.fixture(scope="module")
def fits(tissue_arrays) -> Callable[..., tuple[FusionModel, Embedding]]:
    """Model and embedding by the name of a config, with the image or without."""
    return cache(lambda name, image: fit(tissue_arrays, CONFIGS[name], image=image))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_and_what_is_recorded(tissue_arrays, fits, name):
    model, found = fits(name, True)
    n = len(tissue_arrays.xy)
    assert found.code.dtype == np.float32 and len(found.code) == n and np.isfinite(found.code).all()
    assert found.image_weight.shape == (n,) and ((found.image_weight >= 0) & (found.image_weight <= 1)).all()
    assert all(len(values) and np.isfinite(values).all() for values in found.losses.values())
    assert (found.attention is not None) == (name == "trained")
    if "published" not in name:
        assert found.code.shape[1] == 12 + 8 and model.gain > 0.01
        assert found.image_weight.mean() > 0.1
        assert set(found.losses) == ({"hidden_expression"} if name == "trained" else set())


@pytest.mark.slow
@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_fitted_is_embedded_as_it_was_and_a_model_comes_back_from_its_parts(tissue_arrays, fits, name, image):
    model, found = fits(name, image)
    assert_same(embed(model, tissue_arrays, image), found)
    record, arrays = parts_of(model)
    back = model_of_parts(json.loads(json.dumps(record)), {k: v.copy() for k, v in arrays.items()})
    assert back.config == model.config and (back.n_expression, back.n_image) == (model.n_expression, model.n_image)
    assert_same(embed(back, tissue_arrays, image), found)
    again = parts_of(back)
    assert again[0] == record and set(again[1]) == set(arrays)
    for key, value in arrays.items():
        np.testing.assert_array_equal(again[1][key], value)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "epochs"), [("constant", 10), ("noise", 0)])
def test_an_image_that_tells_nothing_leaves_everything_as_without_it(large_arrays, kind, epochs, caplog):
    config, image = QUICK.replace(epochs=epochs), np.ones_like(large_arrays.image)
    if kind == "noise":
        image = np.random.default_rng(1).normal(size=image.shape)
    with caplog.at_level(logging.WARNING, "multist"):
        model, found = fit(large_arrays, config, image=image)
    assert "the image adds nothing" in caplog.text
    assert (model.gain, model.n_image, model.networks, model.axes) == (0, 0, (), None)
    np.testing.assert_array_equal(found.code, fit(large_arrays, config, image=False)[1].code)
    assert (found.image_weight == 0).all() and found.attention is None


@pytest.mark.slow
def test_without_training_no_torch_is_imported():
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import scipy.sparse as sp
from multist.model.config import MultiSTConfig
from multist.model.fitted import FusionModel
from multist.model.fitted_parts import model_of_parts, parts_of
side, rng = 20, np.random.default_rng(0)
line, one = sp.diags([1.0, 1.0], [-1, 1], shape=(side, side)), sp.identity(side)
near = sp.csr_matrix(sp.kron(line, one) + sp.kron(one, line))
xy = np.stack(np.divmod(np.arange(400), side), axis=1).astype(float)
signal = np.where(xy[:, :1] > 10, 2.0, -2.0) * rng.normal(size=4)
image = signal + rng.normal(size=(400, 4))
model, found = FusionModel.fit(signal + rng.normal(size=(400, 4)), image, near, xy, MultiSTConfig(epochs=0))
model_of_parts(*parts_of(model)).embed(signal, image if model.n_image else None, near, np.zeros(400, np.int64))
print([name for name in ("torch", "dgl") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


@pytest.mark.slow
def test_the_image_brings_in_what_expression_does_not_show(large_arrays):
    rng, hidden = np.random.default_rng(0), large_arrays.pattern[:, 2] > 0
    quiet = large_arrays.expression - np.outer(hidden, large_arrays.expression[hidden].mean(0))
    quiet += rng.normal(size=quiet.shape)

    def told(image):
        code = FusionModel.fit(quiet, image, large_arrays.adjacency, large_arrays.xy, QUICK, device="cpu")[1].code
        code = np.column_stack([code, np.ones(len(code))])
        fitted = code @ np.linalg.lstsq(code, hidden.astype(float), rcond=None)[0]
        return np.corrcoef(fitted, hidden)[0, 1]

    assert told(large_arrays.image) > told(None) + 0.05


@pytest.mark.parametrize(("n", "joined"), [(1, True), (2, True), (3, True), (17, True), (40, False)])
@pytest.mark.parametrize("epochs", [2, 0])
def test_few_spots_and_spots_without_neighbours(n, joined, epochs):
    rng = np.random.default_rng(0)
    near = sp.csr_matrix(joined * (np.ones((n, n)) - np.eye(n)))
    given = (rng.normal(size=(n, 5)), rng.normal(size=(n, 3)), near, rng.random((n, 2)), QUICK.replace(epochs=epochs))
    assert np.isfinite(FusionModel.fit(*given, device="cpu")[1].code).all()


def model_by_hand(**changes) -> FusionModel:
    """Two factors of expression and one of the image, which are embedded as they are."""

    def alone(n: int, scale: float) -> Modality:
        own = np.zeros((n, 1 + len(STEPS)))
        own[:, 0] = 1
        return Modality(Averaging(np.zeros(n), own, np.ones(n)), scale, None)

    axes = ImageAxes(np.ones(1, bool), np.zeros(1), np.ones(1), np.zeros(1), np.ones((1, 1)))
    parts = {
        "config": QUICK,
        "expression": alone(2, 2.0),
        "image": alone(1, 3.0),
        "axes": axes,
        "networks": (),
        "gain": 0.5,
        "center": np.array([0.0, 1, 0]),
        "spread": np.array([1.0, 2, 1]),
        "component_spread": np.zeros((0, 2)),
        "n_expression": 2,
    }
    return FusionModel(**parts | changes)


def test_the_embedding_by_hand():
    """Modalities times their scale; what is too many deviations away is drawn in; the weight is of squares."""
    model, near = model_by_hand(), sp.csr_matrix((2, 2))
    given = np.array([[0.5, 2.5], [10.0, 0.5]]), np.array([[0.5], [0.0]])
    found = model.embed(*given, near, np.zeros(2, int))
    np.testing.assert_allclose(found.code, [[1, 4, 1.5], [2.5, 0, 0]])
    # deviations 1, 2 and 1.5; and the most there is, 0 and 0
    np.testing.assert_allclose(found.image_weight, [2.25 / 7.25, 0])


@pytest.mark.parametrize(
    ("genes", "image", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 1)), "fitted on 2 expression features; there are 3"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "fitted on 1 histology features; there are 2"),
        (np.zeros((2, 2)), None, "fitted on 1 histology features; there are 0"),
    ],
)
def test_other_features_are_refused(genes, image, message):
    with pytest.raises(ValueError, match=message):
        model_by_hand().embed(genes, image, sp.csr_matrix((2, 2)), np.zeros(2, int))


def test_sections_share_axes_where_nothing_speaks_against_it():
    rng, one = np.random.default_rng(0), np.zeros(50, int)

    def own(seed: int) -> np.ndarray:
        made = np.random.default_rng(seed).normal(size=(50, 2)) * [3, 1]
        made -= made.mean(axis=0)
        return made @ np.linalg.eigh(made.T @ made)[1][:, ::-1]

    first, other, elsewhere = own(0), own(1), rng.normal(size=(50, 2)) @ [[1, 1], [0, 1.0]]
    fitted = model_by_hand(component_spread=first.std(axis=0)[None])
    assert fitted.shares_axes(first, one) is True
    assert fitted.shares_axes(elsewhere, one) is True  # projected on axes from elsewhere
    assert fitted.shares_axes(other, one) is False
    assert fitted.shares_axes(first * (1 + 1e-3), one) is False
    assert fitted.shares_axes(first * (1 + 1e-5), one) is True
    assert model_by_hand().shares_axes(first, one) is None
    assert model_by_hand().shares_axes(elsewhere, one) is True
    both = np.concatenate([first, other]), np.repeat([0, 1], 50)
    several = model_by_hand(component_spread=np.stack([first.std(axis=0), other.std(axis=0)]))
    assert several.shares_axes(*both) is False  # each on axes of its own


@pytest.mark.parametrize(("weight", "share", "said"), [(0.96, 0.92, True), (0.96, 0.88, False), (0.94, 1.0, False)])
def test_an_image_that_leaves_nothing_to_expression_is_named(weight, share, said, caplog):
    weights = np.where(np.arange(100) < 100 * share, weight, 0.2)
    warn_of_image_alone(weights)
    for words in ("domains are those of the image alone", "use_image=False"):
        assert (words in caplog.text) == said
    warn_of_image_alone(np.zeros(0))


def test_a_modality_is_scaled_to_unit_spread_and_the_image_by_what_it_adds(tissue_arrays, fits):
    model, _ = fits("not trained", True)
    spread = np.sqrt(tissue_arrays.expression.var(axis=0).sum())
    assert model.expression.scale == pytest.approx(1 / spread)
    picture = model.axes(tissue_arrays.image)
    assert 0 < model.gain < 1
    assert model.image.scale == pytest.approx(model.gain / np.sqrt(picture.var(axis=0).sum()))
    flat, _ = fits("not trained", False)
    assert flat.n_image == 0 and flat.image is None


def test_the_embedding_is_centred_and_has_the_spread_that_is_kept_but_for_drawn_in_ends(fits):
    model, found = fits("not trained", True)
    inside = np.abs(found.code / model.spread).max(axis=0) < _MAX_DEVIATIONS - 1e-3
    assert inside.sum() > 5
    np.testing.assert_allclose(found.code.mean(axis=0)[inside], 0, atol=1e-4)
    np.testing.assert_allclose(found.code.std(axis=0)[inside], model.spread[inside], rtol=1e-4)
    assert np.abs(found.code / model.spread).max() == pytest.approx(_MAX_DEVIATIONS, abs=1e-3)


def test_factors_count_by_what_the_embedding_has_of_them_in_the_share_that_space_structures():
    averaging = Averaging(np.zeros(2), np.ones((2, 1 + len(STEPS))), np.array([0.1, 0.9]))
    model = model_by_hand(expression=Modality(averaging, 1.0, None))  # deviations of 1 and 2, and of 1 of the image
    assert model.structured_share == pytest.approx((0.1 * 1 + 0.9 * 4) / 5)
    assert model_by_hand(expression=Modality(averaging, 1.0, None), published=object()).structured_share == 1
