"""Many at once, and many after one another."""

from __future__ import annotations

import os

import pytest

WARM_UP = 4
LARGEST_GROWTH = 0.25
"""MiB for a section: its table has 0.05, its image 0.3, and its results 0.4."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_sections_in_a_loop_do_not_add_up_and_eight_processes_do_not_get_in_each_others_way(in_a_process):
    seen = in_a_process("one_after_another", "together", "on_one_store")  # memory before anything else ran
    used = [each["used"] for each in seen["one_after_another"]]
    growth = (used[-1] - used[WARM_UP]) / (len(used) - 1 - WARM_UP)
    assert growth < LARGEST_GROWTH, f"{growth:.2f} MiB a section, from {used[WARM_UP]:.0f} to {used[-1]:.0f}"

    written = seen["together"]
    assert {each["what"] for each in written} >= {"MultiST.save", "a report", "write_domains.csv", "kept vectors"}
    for each in written:
        assert each["said"] == "" and each["reads"] > 0, each
        assert each["whole"] and each["last"] and each["left"] == [], each

    read = seen["on_one_store"]
    assert len(read) == 8
    assert all(each == {"said": "", "untouched": True} for each in read), read
