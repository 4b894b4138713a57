"""Ctrl-C, ``kill -9``, a full disk and a folder that may not be written: what was there is as before, or complete."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here"),
]


@pytest.fixture(scope="module")
def interrupted(in_a_process) -> dict[str, list[dict[str, Any]]]:
    """What is seen of all that is interrupted."""
    return in_a_process("ctrl_c", "writes")


def test_ctrl_c_at_random_moments_leaves_the_object_as_before_or_complete(interrupted):
    seen = interrupted["ctrl_c"]
    assert len(seen) == 20
    for each in seen:
        assert each["state"] in ("as before", "complete"), each
        # who is told that nothing was written has to find nothing
        assert ("nothing of this run was written" in each["note"]) <= (each["state"] == "as before"), each
    for call in ("embed_expression", "multist_domains"):
        of_call = [each for each in seen if each["call"] == call]
        assert sum(each["raised"] and each["state"] == "as before" for each in of_call) >= 3
        assert any(each["raised"] and each["state"] == "complete" for each in of_call if each["from"] == "_commit")


def test_whatever_happens_a_file_is_the_old_one_or_the_new_one(interrupted):
    writes = interrupted["writes"]
    assert {each["what"] for each in writes} >= {"MultiST.save", "a report", "a figure.png", "kept vectors"}
    for each in writes:
        assert each["state"] in ("old", "new"), each
        assert each["again"], each  # what was left of it is no obstacle
    # a kill came before and after the file was there
    killed = [each for each in writes if each["how"] == "killed"]
    assert sum(each["said"] == "killed" for each in killed) > len(killed) / 2
    assert {each["state"] for each in killed if each["said"] == "killed"} == {"old", "new"}
    # what cannot be written is an error and leaves nothing; but of vectors the result is there all the same
    for how, words in (("full disk", "large"), ("read-only", "denied")):
        for each in (each for each in writes if each["how"] == how):
            assert each["state"] == "old" and each["left"] == [], each
            said = each["said"]
            assert said == "" if each["what"] == "kept vectors" else said.startswith("OSError") and words in said, each
