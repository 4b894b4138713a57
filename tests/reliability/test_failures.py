"""Whatever line fails, the object is as it was before the call.

A tracer finds every line of the package from which a function of another room is called; an exception is raised
there instead. ``nox -s fuzz`` raises it in every call that comes to a line, the tests in the shortest one, and for
SpatialData at some of the lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pandas as pd
import pytest

import multist as mt
from multist.access.tables import copy_data
from multist.model.config import MultiSTConfig
from multist.tl.borders import _border_sharpness


class Injected(Exception):
    """Raised by a test alone."""


PACKAGE = f"{Path(mt.__file__).parent}{os.sep}"
PAIRS = pd.DataFrame({"source": [f"gene{i}" for i in range(4)], "target": [f"gene{i}" for i in range(4, 8)]})
FINISHED = "finished"
QUICK = MultiSTConfig(epochs=1)
PUBLISHED = MultiSTConfig.published().replace(epochs=1)

EVERYWHERE = "MULTIST_FUZZ" in os.environ


class Call(NamedTuple):
    """A function, and the object that it gets: the tissue, or the one on which every stage was run."""

    call: Callable[[Any], Any]
    of: str = "tissue"


CALLS = {
    "normalize_histology": Call(mt.pp.normalize_histology),
    "embed_histology": Call(mt.pp.embed_histology),
    "embed_expression": Call(mt.pp.embed_expression),
    "spatial_graph": Call(mt.pp.spatial_graph),
    "multist_domains": Call(lambda t: mt.tl.multist_domains(t, 3, config=QUICK, device="cpu")),
    "guided": Call(lambda t: mt.tl.multist_domains(t, labels_key="annotation", use_image=False, device="cpu")),
    "over results": Call(lambda t: mt.tl.multist_domains(t, 4, config=QUICK, use_image=False, device="cpu"), FINISHED),
    "cluster_domains": Call(lambda t: mt.tl.cluster_domains(t, 4), FINISHED),
    "choice": Call(lambda t: mt.tl.cluster_domains(t, [2, 3]), FINISHED),
    "sections": Call(lambda t: mt.tl.multist_domains(t, 2, library_key="truth", use_image=False, device="cpu")),
    "ligrec": Call(lambda t: mt.tl.ligrec(t, pairs=PAIRS, n_perms=5), FINISHED),
    "published": Call(lambda t: mt.tl.multist_domains(t, 3, config=PUBLISHED, use_image=False, device="cpu"), FINISHED),
    "fit": Call(lambda t: mt.MultiST(QUICK, device="cpu").fit(t, n_domains=3), FINISHED),
    "pseudotime": Call(lambda t: mt.tl.pseudotime(t, t.obs_names[5]), FINISHED),
    "border_sharpness": Call(lambda t: mt.tl.border_sharpness(t, n_null=4), FINISHED),
    "interactions": Call(lambda t: mt.tl.interactions(t, PAIRS, n_perms=5, min_edges=2, patch_size=2), FINISHED),
    "domain_shapes": Call(lambda t: mt.tl.domain_shapes(t), FINISHED),
}
OF_SPATIALDATA = {
    "normalize_histology": Call(mt.pp.normalize_histology),
    "embed_histology": Call(mt.pp.embed_histology),
    "labels_from_shapes": Call(lambda s: mt.pp.labels_from_shapes(s, "drawn", key_added="strokes")),
    "guided": Call(lambda s: mt.tl.multist_domains(s, labels_key="annotation", use_image=False, device="cpu")),
    "domain_shapes": Call(mt.tl.domain_shapes, FINISHED),
    "domain_shapes over others": Call(mt.tl.domain_shapes, "outlined"),
    "domains that outlines were made of": Call(lambda s: mt.tl.cluster_domains(s, 4), "outlined"),
}

Place = tuple[str, int, str]
"""File and line of the caller, and the function that it calls in another room."""


@cache  # the tracer asks at every call
def room(file: str) -> str | None:
    """The first folder or module of the package on the way to a file; None for others' files."""
    return Path(file).relative_to(PACKAGE).parts[0] if file.startswith(PACKAGE) else None


def crossing(frame: FrameType) -> Place | None:
    """The place from which a function was called, if that is in another room of the package."""
    back, here = frame.f_back, frame.f_code
    to = room(here.co_filename)
    if to is None or back is None or here.co_name.startswith("<"):
        return None
    there = back.f_code.co_filename
    if room(there) in (None, to):
        return None
    return there, back.f_lineno, here.co_qualname


@contextmanager
def traced(profile: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Profile with a function; what it raises when a function of Python's is entered comes out of that call."""
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def places_of(call: Callable[[Any], Any], data: Any) -> tuple[list[Place], int]:
    """The places, in order, and the number of calls as a measure of how long it takes."""
    found: dict[Place, None] = {}
    calls = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        if event == "call":
            calls += 1
            place = crossing(frame)
            if place is not None:
                found[place] = None

    with traced(note):
        call(data)
    return list(found), calls


def fail_at(place: Place, error: type[BaseException], call: Callable[[Any], Any], data: Any) -> None:
    """Run a call that fails the first time it comes to a place."""
    raised: list[Place] = []
    function = place[2]

    def fail(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_qualname == function and not raised and crossing(frame) == place:
            raised.append(place)
            raise error("injected")

    with traced(fail), pytest.raises(error, match="injected"):
        call(data)


New = Callable[[str], Any]
"""Makes the object that a call gets."""


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> Iterator[None]:
    # what runs once, when a module is first loaded, cannot be made to fail again
    for face in (mt, mt.pp, mt.tl):
        for name in dir(face):
            getattr(face, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_border_sharpness, "_MIN_DRAWS", 2)  # nobody looks at the p-values
        yield


@pytest.fixture(scope="module")
def of_anndata(new_tissue, _finished) -> New:
    tissue = new_tissue()
    return lambda of: (_finished if of == FINISHED else tissue).copy()


@pytest.fixture(scope="module")
def of_spatialdata(new_spatialdata) -> New:
    made = {"tissue": new_spatialdata(), FINISHED: new_spatialdata()}
    mt.tl.multist_domains(made[FINISHED], 3, config=QUICK, use_image=False, device="cpu")
    made["outlined"] = copy_data(made[FINISHED])
    mt.tl.domain_shapes(made["outlined"])
    return lambda of: copy_data(made[of])


def chosen_places(
    calls: dict[str, Call], new: New, shorten: Callable[[pytest.MonkeyPatch], None]
) -> list[tuple[str, Place]]:
    """Every place, with the shortest call that comes there, or with each; and the last place of every call."""
    found: dict[Place, list[tuple[int, str]]] = {}
    last = []
    for name, (call, of) in calls.items():
        with pytest.MonkeyPatch.context() as patch:
            shorten(patch)  # as in the tests, which come to the same places then
            places, length = places_of(call, new(of))
        last.append((name, places[-1]))
        for place in places:
            found.setdefault(place, []).append((length, name))
    chosen = [(name, place) for place, by in found.items() for _, name in sorted(by)[: None if EVERYWHERE else 1]]
    return [*chosen, *last]


@pytest.fixture
def leaves_no_trace(untouched) -> Callable[..., None]:
    """Fails with the names of all places after which the object is not as before."""

    def check(calls: dict[str, Call], new: New, chosen: list[tuple[str, Place]], error: type[BaseException]) -> None:
        faults = []
        for name, place in chosen:
            data = new(calls[name].of)
            try:
                with untouched(data):
                    fail_at(place, error, calls[name].call, data)
            except (AssertionError, pytest.fail.Exception) as different:
                file, line, function = place
                faults.append(f"{name} at {Path(file).name}:{line}, {function}: {str(different).splitlines()[0]}")
        assert not faults, "\n".join(faults)

    return check


errors = pytest.mark.parametrize("error", [Injected, KeyboardInterrupt])


def half(chosen: list[tuple[str, Place]], error: type[BaseException]) -> list[tuple[str, Place]]:
    """Every other place, others for Ctrl-C; all if there is time."""
    return chosen if EVERYWHERE else chosen[int(error is KeyboardInterrupt) :: 2]


@pytest.fixture(scope="module")
def everywhere(of_anndata, shorten_training) -> list[tuple[str, Place]]:
    for name in ("ligrec", "published"):  # compile, or load, what takes twice as long while it is traced
        CALLS[name].call(of_anndata(FINISHED))
    return chosen_places(CALLS, of_anndata, shorten_training)


@pytest.fixture(scope="module")
def with_elements(of_spatialdata, shorten_training) -> list[tuple[str, Place]]:
    return chosen_places(OF_SPATIALDATA, of_spatialdata, shorten_training)


@pytest.mark.slow
@errors
def test_a_failure_anywhere_leaves_no_trace(everywhere, of_anndata, leaves_no_trace, error):
    assert len(everywhere) >= 200, "the tracer finds few places"
    leaves_no_trace(CALLS, of_anndata, half(everywhere, error), error)


@pytest.mark.slow
@errors
def test_a_failure_leaves_no_trace_in_a_spatialdata(with_elements, of_spatialdata, leaves_no_trace, error):
    assert len(with_elements) >= 100, "the tracer finds few places"
    last = with_elements[-len(OF_SPATIALDATA) :]
    some = half(with_elements, error) if EVERYWHERE else [*with_elements[int(error is Injected) :: 16], *last]
    leaves_no_trace(OF_SPATIALDATA, of_spatialdata, some, error)
