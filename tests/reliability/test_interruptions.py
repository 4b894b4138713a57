"""Ctrl-C, ``kill -9``, a full disk and a folder that may not be written: what was there is as before, or complete."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here"),
]

Seen = list[dict[str, Any]]


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


@pytest.fixture
def writes(interrupted) -> Seen:
    return interrupted["writes"]


def test_whatever_happens_a_file_is_the_old_one_or_the_new_one(writes):
    assert {each["what"] for each in writes} >= {"MultiST.save", "a report", "a figure.png", "kept vectors"}
    for each in writes:
        assert each["state"] in ("old", "new"), each
        assert each["again"], each  # what was left of it is no obstacle


def test_a_kill_came_before_and_after_the_file_was_there(writes):
    killed = [each for each in writes if each["how"] == "killed"]
    assert sum(each["said"] == "killed" for each in killed) > len(killed) / 2
    assert {each["state"] for each in killed if each["said"] == "killed"} == {"old", "new"}


@pytest.mark.parametrize(("how", "words"), [("full disk", "large"), ("read-only", "denied")])
def test_what_cannot_be_written_is_an_error_and_leaves_nothing(writes, how, words):
    for each in (each for each in writes if each["how"] == how):
        assert each["state"] == "old" and each["left"] == [], each
        if each["what"] == "kept vectors":  # the result is there all the same
            assert each["said"] == ""
        else:
            assert each["said"].startswith("OSError") and words in each["said"], each
