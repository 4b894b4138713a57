"""Bars go away however the work ends, and one process of several shows them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tqdm.auto

import multist as mt
from multist._progress import progress_bar, with_progress

MADE: list[Bar] = []


class Bar:
    """Notes what a bar is told, as one of a notebook would be: one that ends early looks like a failure there."""

    def __init__(self, *, total: int | None, disable: bool = False, **_: object) -> None:
        self.total, self.n, self.closed_at, self.disabled = total, 0, None, disable
        MADE.append(self)

    def update(self, more: int = 1) -> None:
        self.n += more

    def close(self) -> None:
        self.closed_at = (self.n, self.total)


@pytest.fixture(autouse=True)
def bars(monkeypatch) -> list[Bar]:
    MADE.clear()
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(mt.settings, "progress", True)
    return MADE


@pytest.mark.parametrize("total", [8, None])
def test_whoever_leaves_early_leaves_no_failed_bar_and_the_items_are_closed(bars, total):
    ended = []

    def items() -> Iterator[int]:
        try:
            yield from range(8)
        finally:
            ended.append(True)

    for each in with_progress(items(), total, "work"):
        if each == 2:
            break
    (bar,) = bars
    assert bar.closed_at == (2, 2) and ended == [True]


def test_an_error_closes_the_bar(bars):
    with pytest.raises(ZeroDivisionError):
        list(with_progress((1 // each for each in (1, 0)), 2, "work"))
    assert bars[0].closed_at == (1, 1)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"RANK": "0", "MASTER_ADDR": "here"}, True),
        ({"RANK": "1", "MASTER_ADDR": "here"}, False),
        ({"RANK": "1"}, True),  # a launcher that starts single processes
    ],
)
def test_of_several_processes_the_first_shows_bars(bars, monkeypatch, environment, shown):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert list(with_progress([1, 2], 2, "work")) == [1, 2]
    assert len(bars) == shown
    assert progress_bar(2, "work", "spots").disabled != shown


def test_none_is_made_where_they_are_turned_off(bars, monkeypatch):
    monkeypatch.setattr(mt.settings, "progress", False)
    assert list(with_progress([1, 2], 2, "work")) == [1, 2] and not bars
    assert progress_bar(2, "work", "spots").disabled
