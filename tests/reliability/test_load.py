"""Many at once, and many after one another."""

from __future__ import annotations

import os

import pytest

WARM_UP = 4
LARGEST_GROWTH = 0.25
"""MiB for a section: its table has 0.05, its image 0.3, and its results 0.4."""

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_eight_processes_that_write_to_one_place_leave_a_whole_file(at_once):
    seen = at_once["together"]
    assert {each["what"] for each in seen} >= {"MultiST.save", "a report", "write_domains.csv", "kept vectors"}
    for each in seen:
        assert each["said"] == "" and each["reads"] > 0, each
        assert each["whole"] and each["last"] and each["left"] == [], each


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_eight_processes_that_read_one_store_find_the_same_and_leave_it_alone(at_once):
    seen = at_once["on_one_store"]
    assert len(seen) == 8
    assert all(each == {"said": "", "untouched": True} for each in seen), seen


def test_sections_in_a_loop_do_not_add_up(in_a_process):
    used = [each["used"] for each in in_a_process("one_after_another")["one_after_another"]]
    growth = (used[-1] - used[WARM_UP]) / (len(used) - 1 - WARM_UP)
    assert growth < LARGEST_GROWTH, f"{growth:.2f} MiB a section, from {used[WARM_UP]:.0f} to {used[-1]:.0f}"
