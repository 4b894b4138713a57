"""Benchmarks change settings for their own process; run within the tests', they must not change the tests'."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import multist as mt


@pytest.fixture(autouse=True)
def settings_put_back() -> Iterator[None]:
    before = {**vars(mt.settings), "verbosity": mt.settings.verbosity}
    yield
    for name, value in before.items():
        setattr(mt.settings, name, value)
