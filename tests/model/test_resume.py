"""Training that was interrupted goes on to the bits it would have come to, and takes no other training for its own."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from multist._settings import settings
from multist.model import batches, resume
from multist.model.checkpoint import RECORD, load_folder
from multist.model.config import MultiSTConfig
from multist.model.objective import Objective
from multist.model.tokens import make_tokens
from multist.model.training import fit_embedding

STEPS = 8
CONFIGS = {
    "default": MultiSTConfig(epochs=STEPS),
    "published": MultiSTConfig.published().replace(epochs=STEPS, n_factors=8),
    "published, with attention": MultiSTConfig.published().replace(
        epochs=STEPS, n_factors=8, attention="neighbourhood", gate=True
    ),
}


class Stopped(BaseException):
    """Ctrl-C, but one that does not end the tests where nothing catches it."""


def fit(tissue, config, *, image=True, **kwargs):
    tokens = make_tokens(tissue.expression, tissue.image if image else None, tissue.adjacency, tissue.xy, config)
    options = {"n_domains": 3, "device": "cpu", "xy": tissue.xy} | kwargs
    return fit_embedding(tokens, tissue.adjacency, config, **options)


@pytest.fixture
def stops(monkeypatch):
    """``stops(k)``: the k-th step from now on is interrupted. ``stops.taken`` counts the steps."""
    original = Objective.forward

    class Stops:
        taken, at = 0, None

        def __call__(self, at):
            self.taken, self.at = 0, at

    stops = Stops()

    def forward(self, *args, **kwargs):
        stops.taken += 1
        if stops.taken == stops.at:
            raise Stopped
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Objective, "forward", forward)
    monkeypatch.setattr(resume, "EVERY", 0)
    return stops


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.code, other.code)
    np.testing.assert_array_equal(one.image_weight, other.image_weight)
    np.testing.assert_array_equal(one.attention, other.attention)
    assert one.losses == other.losses
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name


@pytest.mark.parametrize("full", [True, False], ids=["whole", "tiles"])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("at", [1, STEPS // 2 + 1, STEPS])
def test_an_interrupted_training_comes_to_the_same_bits(at, config, full, tissue_arrays, tmp_path, stops, monkeypatch):
    if not full:
        monkeypatch.setattr(batches, "FULL", 120)
    expected = fit(tissue_arrays, CONFIGS[config])
    stops(at)
    with pytest.raises(Stopped):
        fit(tissue_arrays, CONFIGS[config], resume=tmp_path / "t")
    assert (tmp_path / "t" / RECORD).exists() == (at > 1)
    stops(None)
    with torch.random.fork_rng():
        torch.manual_seed(99)  # whatever happened between
        found = fit(tissue_arrays, CONFIGS[config], resume=tmp_path / "t")
    assert stops.taken == STEPS - (at - 1)
    assert_same_bits(found, expected)


def test_interrupted_again_and_again(small_arrays, tmp_path, stops):
    config = CONFIGS["published"]
    expected = fit(small_arrays, config)
    for _ in range(STEPS // 2 - 1):
        stops(3)
        with pytest.raises(Stopped):
            fit(small_arrays, config, resume=tmp_path)
    stops(None)
    assert_same_bits(fit(small_arrays, config, resume=str(tmp_path)), expected)
    assert stops.taken == 2


def test_chance_from_the_global_state_goes_on_too(small_arrays, tmp_path, stops, monkeypatch):
    forward = Objective.forward

    def noisy(self, *args, **kwargs):
        return {name: term * torch.rand(()) for name, term in forward(self, *args, **kwargs).items()}

    monkeypatch.setattr(Objective, "forward", noisy)
    expected = fit(small_arrays, CONFIGS["default"])
    stops(5)
    with pytest.raises(Stopped):
        fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    stops(None)
    assert_same_bits(fit(small_arrays, CONFIGS["default"], resume=tmp_path), expected)


def test_keeping_changes_nothing_and_a_finished_training_is_read(small_arrays, tmp_path, stops, caplog):
    config = CONFIGS["default"]
    expected = fit(small_arrays, config)
    assert_same_bits(fit(small_arrays, config, resume=tmp_path), expected)
    stops(1)
    with caplog.at_level("INFO", "multist"):
        assert_same_bits(fit(small_arrays, config, resume=tmp_path), expected)
    assert stops.taken == 0
    assert f"training goes on from step {STEPS} of" in caplog.text
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_the_state_is_kept_now_and_then(small_arrays, tmp_path, stops, monkeypatch):
    times = iter(np.arange(0, 1000, 12.0))
    monkeypatch.setattr(resume, "EVERY", 30.0)
    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: next(times)))
    kept, original = [], resume.save_folder
    monkeypatch.setattr(resume, "save_folder", lambda *args: (kept.append(args[2]["step"]), original(*args)))
    fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    assert kept == [3, 6, STEPS]  # a step takes twelve seconds


def test_the_global_random_state_is_left_alone(small_arrays, tmp_path, stops):
    state = torch.get_rng_state()
    stops(4)
    with pytest.raises(Stopped):
        fit(small_arrays, CONFIGS["published"], resume=tmp_path)
    stops(None)
    fit(small_arrays, CONFIGS["published"], resume=tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture
def kept(small_arrays, tmp_path):
    """A folder of a training of the small tissue."""
    fit(small_arrays, CONFIGS["default"], resume=tmp_path / "t")
    return tmp_path / "t"


@pytest.mark.parametrize(
    "changes",
    [{"config": MultiSTConfig(epochs=9)}, {"random_state": 1}, {"image": False}, {"tissue": "tissue_arrays"}],
    ids=str,
)
def test_another_training_is_refused(changes, small_arrays, kept, request):
    tissue = request.getfixturevalue(changes.pop("tissue", "small_arrays"))
    before = {file.name: file.read_bytes() for file in kept.iterdir()}
    with pytest.raises(ValueError, match="holds the training of other data, constants or seed; give another folder"):
        fit(tissue, **{"config": CONFIGS["default"]} | changes, resume=kept)
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == before


def test_another_number_of_centres_is_another_training(small_arrays, tmp_path):
    fit(small_arrays, CONFIGS["published"], resume=tmp_path)
    with pytest.raises(ValueError, match="other data, constants or seed"):
        fit(small_arrays, CONFIGS["published"], n_domains=4, resume=tmp_path)


def state_of(tissue, folder, **changes):
    """What tells the training of a tissue from others."""
    tokens = make_tokens(tissue.expression, None, tissue.adjacency, tissue.xy, CONFIGS["default"])
    given = {"tokens": tokens, "adjacency": tissue.adjacency, "options": [], "xy": tissue.xy} | changes
    return resume.TrainingState(folder, **given)._training


def test_where_spots_lie_counts_only_where_tiles_are_cut(small_arrays, tmp_path, monkeypatch):
    turned = small_arrays.xy[:, ::-1]
    assert state_of(small_arrays, tmp_path) == state_of(small_arrays, tmp_path, xy=turned)
    monkeypatch.setattr(batches, "FULL", 60)
    tiled = state_of(small_arrays, tmp_path)
    assert tiled == state_of(small_arrays, tmp_path)
    assert tiled != state_of(small_arrays, tmp_path, xy=turned)
    monkeypatch.setattr(batches, "FULL", 50)
    assert tiled != state_of(small_arrays, tmp_path)


def test_sections_and_weights_of_edges_are_data(small_arrays, tmp_path):
    tokens = make_tokens(small_arrays.expression, None, small_arrays.adjacency, small_arrays.xy, CONFIGS["default"])
    section = np.arange(len(small_arrays.xy)) % 2
    states = [
        state_of(small_arrays, tmp_path, tokens=tokens),
        state_of(small_arrays, tmp_path, tokens=tokens._replace(section=section)),
        state_of(small_arrays, tmp_path, tokens=tokens, adjacency=small_arrays.adjacency * 2),
    ]
    assert len(set(states)) == 3


def test_tiles_of_another_size_are_another_training(small_arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "FULL", 60)
    fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    with pytest.raises(ValueError, match="other data, constants or seed"):
        fit(small_arrays, CONFIGS["default"], xy=small_arrays.xy[:, ::-1], resume=tmp_path)
    monkeypatch.setattr(batches, "FULL", 50)
    with pytest.raises(ValueError, match="other data, constants or seed"):
        fit(small_arrays, CONFIGS["default"], resume=tmp_path)


def test_other_kernels_come_to_other_bits(small_arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "graph_backend", "torch")
    fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["record"]["kernels"] == "TorchGraph on cpu"
    record["record"]["kernels"] = "TorchGraph on cuda"  # as if it had been kept on an accelerator
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="by TorchGraph on cuda, and this one is by TorchGraph on cpu.*same device"):
        fit(small_arrays, CONFIGS["default"], resume=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("dgl") is None, reason="there is one back end only")
def test_the_other_back_end_is_refused(kept, small_arrays, monkeypatch):
    monkeypatch.setattr(settings, "graph_backend", "dgl")
    fit(small_arrays, CONFIGS["default"], resume=kept)  # what "auto" took
    monkeypatch.setattr(settings, "graph_backend", "torch")
    with pytest.raises(ValueError, match="by DGLGraph on cpu, and this one is by TorchGraph on cpu"):
        fit(small_arrays, CONFIGS["default"], resume=kept)


def test_the_number_of_domains_does_not_matter_without_centres(small_arrays, kept, stops):
    stops(1)
    fit(small_arrays, CONFIGS["default"], n_domains=4, resume=kept)


def test_a_folder_that_is_not_whole(small_arrays, kept):
    (file,) = kept.glob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-10])
    with pytest.raises(ValueError, match="is truncated or damaged"):
        fit(small_arrays, CONFIGS["default"], resume=kept)
    file.write_bytes(content)
    head = json.loads((kept / RECORD).read_text())
    del head["record"]["parts"]["schedule"]
    (kept / RECORD).write_text(json.dumps(head))
    with pytest.raises(ValueError, match="lacks a part of the training: 'schedule'"):
        fit(small_arrays, CONFIGS["default"], resume=kept)


def test_a_folder_with_other_things_is_refused_before_training(small_arrays, tmp_path, stops):
    (tmp_path / "notes.txt").write_text("precious")
    stops(1)
    with pytest.raises(FileExistsError, match="'notes.txt', which multist did not write"):
        fit(small_arrays, CONFIGS["default"], resume=tmp_path)
    assert stops.taken == 0 and [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_single_numbers_stay_single(kept):
    _, arrays = load_folder(kept, "training")
    steps = [value for name, value in arrays.items() if name.endswith(".step")]
    assert steps and all(value.shape == () and value == STEPS for value in steps)


def test_several_processes_are_refused(small_arrays, tmp_path, monkeypatch):
    from multist.model import training

    class Two(training.Processes):
        def __init__(self, device):
            super().__init__(device)
            self.count = 2

    monkeypatch.setattr(training, "Processes", Two)
    with pytest.raises(ValueError, match="resume is for one process; there are 2"):
        fit(small_arrays, CONFIGS["default"], resume=tmp_path / "t")
    assert not (tmp_path / "t").exists()
