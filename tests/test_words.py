"""Numbers with their nouns."""

from __future__ import annotations

import numpy as np
import pytest

from multist._words import counted


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
