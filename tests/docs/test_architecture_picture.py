"""The picture of the rooms shows every room and every arrow between them, wherever rooms have been moved."""

from __future__ import annotations

import runpy
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def picture() -> dict:
    return runpy.run_path(str(DOCS / "architecture_picture.py"))


def test_rooms_have_places_of_their_own_above_what_they_import(picture):
    places, counts, floors = picture["place_rooms"](), picture["count_imports"](), picture["RULES"]["FLOORS"]
    assert set(places) == {*floors, picture["GROUND"]}
    for (_, (x, y)), (_, (other_x, other_y)) in combinations(places.items(), 2):
        assert abs(x - other_x) > picture["WIDTH"] or abs(y - other_y) > picture["HEIGHT"]
    assert counts["tl", "access"] > 10
    assert all(places[here][1] >= places[there][1] for here, there in counts)


def test_all_of_it_is_drawn(picture, tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(plt.Axes, "text", lambda self, x, y, s, **kwargs: texts.append(s))
    picture["draw"](tmp_path / "rooms.png")
    assert {room.strip("_") for room in picture["RULES"]["FLOORS"]} <= set(texts)
    assert (tmp_path / "rooms.png").stat().st_size > 10_000
