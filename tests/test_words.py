"""Numbers with their nouns, and names."""

from __future__ import annotations

import numpy as np
import pytest

from multist._words import counted, shown


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (1, ["spot"], "1 spot"),
        (0, ["spot"], "0 spots"),
        (1234, ["spot"], "1,234 spots"),
        (np.int64(1), ["spot lies", "spots lie"], "1 spot lies"),
        (2, ["spot lies", "spots lie"], "2 spots lie"),
    ],
)
def test_a_noun_fits_its_number(number, words, expected):
    assert counted(number, *words) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("a", "'a'"), (np.str_("a"), "'a'"), (np.int64(3), "3"), (None, "None")]
)
def test_names_are_shown_without_the_types_of_numpy(name, expected):
    assert shown(name) == expected
