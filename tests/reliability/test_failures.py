"""Whatever line fails, the object is as it was before the call.

A tracer finds every line of the package from which a function of another room is called; an exception is raised
there instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import anndata as ad
import pandas as pd
import pytest

import multist as mt
from multist.model.config import MultiSTConfig


class Injected(Exception):
    """Raised by a test alone."""


PACKAGE = Path(mt.__file__).parent
PAIRS = pd.DataFrame({"source": [f"gene{i}" for i in range(4)], "target": [f"gene{i}" for i in range(4, 8)]})
QUICK = MultiSTConfig(epochs=1)
PUBLISHED = MultiSTConfig.published().replace(epochs=1)

CALLS: dict[str, tuple[bool, Callable[[ad.AnnData], Any]]] = {
    "normalize_histology": (False, lambda t: mt.pp.normalize_histology(t)),
    "embed_histology": (False, lambda t: mt.pp.embed_histology(t)),
    "embed_expression": (False, lambda t: mt.pp.embed_expression(t)),
    "spatial_graph": (False, lambda t: mt.pp.spatial_graph(t)),
    "multist_domains": (False, lambda t: mt.tl.multist_domains(t, 3, config=QUICK, device="cpu")),
    "guided": (False, lambda t: mt.tl.multist_domains(t, labels_key="annotation", use_image=False, device="cpu")),
    "over results": (True, lambda t: mt.tl.multist_domains(t, 4, config=QUICK, use_image=False, device="cpu")),
    "cluster_domains": (True, lambda t: mt.tl.cluster_domains(t, 4)),
    "choice": (True, lambda t: mt.tl.cluster_domains(t, [2, 3])),
    "sections": (False, lambda t: mt.tl.multist_domains(t, 2, library_key="truth", use_image=False, device="cpu")),
    "ligrec": (True, lambda t: mt.tl.ligrec(t, pairs=PAIRS, n_perms=5)),
    "published": (True, lambda t: mt.tl.multist_domains(t, 3, config=PUBLISHED, use_image=False, device="cpu")),
    "fit": (True, lambda t: mt.MultiST(QUICK, device="cpu").fit(t, n_domains=3)),
    "pseudotime": (True, lambda t: mt.tl.pseudotime(t, t.obs_names[5])),
    "border_sharpness": (True, lambda t: mt.tl.border_sharpness(t, n_null=38)),
    "interactions": (True, lambda t: mt.tl.interactions(t, PAIRS, n_perms=5, min_edges=2, patch_size=2)),
    "domain_shapes": (True, lambda t: mt.tl.domain_shapes(t)),
}

Place = tuple[str, int, str]
"""File and line of the caller, and the function that it calls in another room."""


def room(file: str) -> str:
    return Path(file).relative_to(PACKAGE).parts[0]


def crossing(frame: FrameType) -> Place | None:
    """The place from which a function was called, if that is in another room of the package."""
    back, here = frame.f_back, frame.f_code
    if back is None or here.co_name.startswith("<") or not here.co_filename.startswith(str(PACKAGE)):
        return None
    there = back.f_code.co_filename
    if not there.startswith(str(PACKAGE)) or room(there) == room(here.co_filename):
        return None
    return there, back.f_lineno, here.co_qualname


@contextmanager
def traced(on_call: Callable[[FrameType], None]) -> Iterator[None]:
    """Call ``on_call`` whenever a function of Python's is entered; what it raises comes out of that call."""

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            on_call(frame)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def places_of(call: Callable[[ad.AnnData], Any], table: ad.AnnData) -> list[Place]:
    found: dict[Place, None] = {}

    def note(frame: FrameType) -> None:
        place = crossing(frame)
        if place is not None:
            found[place] = None

    with traced(note):
        call(table)
    return list(found)


def fail_at(place: Place, error: type[BaseException], call: Callable[[ad.AnnData], Any], table: ad.AnnData) -> None:
    """Run a call that fails the first time it comes to a place."""
    raised: list[Place] = []

    def fail(frame: FrameType) -> None:
        if not raised and frame.f_code.co_qualname == place[2] and crossing(frame) == place:
            raised.append(place)
            raise error("injected")

    with traced(fail), pytest.raises(error, match="injected"):
        call(table)


@pytest.fixture(scope="module")
def everywhere(new_tissue, _finished) -> list[tuple[str, Place]]:
    """Every place, with one of the functions that come there, in turn; and the last place of every function."""
    for face in (mt.pp, mt.tl):  # what runs once, when a module is first loaded, cannot be made to fail again
        for name in dir(face):
            getattr(face, name)
    found: dict[Place, list[str]] = {}
    last = []
    for name, (is_late, call) in CALLS.items():
        places = places_of(call, (_finished.copy if is_late else new_tissue)())
        last.append((name, places[-1]))
        for place in places:
            found.setdefault(place, []).append(name)
    return [(names[turn % len(names)], place) for turn, (place, names) in enumerate(found.items())] + last


@pytest.fixture
def leaves_no_trace(new_tissue, _finished, untouched) -> Callable[..., None]:
    """Fails with the names of all places after which the object is not as before."""

    def check(chosen: list[tuple[str, Place]], error: type[BaseException]) -> None:
        faults = []
        for name, place in chosen:
            is_late, call = CALLS[name]
            table = (_finished.copy if is_late else new_tissue)()
            try:
                with untouched(table):
                    fail_at(place, error, call, table)
            except (AssertionError, pytest.fail.Exception) as different:
                file, line, function = place
                faults.append(f"{name} at {Path(file).name}:{line}, {function}: {str(different).splitlines()[0]}")
        assert not faults, "\n".join(faults)

    return check


@pytest.mark.slow
@pytest.mark.parametrize("error", [Injected, KeyboardInterrupt])
def test_a_failure_anywhere_leaves_no_trace(everywhere, leaves_no_trace, error):
    assert len(everywhere) >= 200, "the tracer finds few places"
    turn = int(error is KeyboardInterrupt)
    leaves_no_trace(everywhere[turn::2], error)
