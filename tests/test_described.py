"""Parameters that functions share are told once, and help shows them in each."""

from __future__ import annotations

import inspect
import pickle
from collections import Counter

import pytest

import multist as mt
from multist._described import SHARED, described, with_parameters
from multist.pl._look import ARGUMENTS

FACES = ("pp", "tl", "pl", "metrics", "datasets")
PUBLIC = {f"{face}.{name}": getattr(getattr(mt, face), name) for face in FACES for name in dir(getattr(mt, face))}
PUBLIC = {name: each for name, each in PUBLIC.items() if callable(each)} | {"report": mt.report, "MultiST": mt.MultiST}
PUBLIC |= {f"MultiST.{name}": getattr(mt.MultiST, name) for name in ("fit", "embed", "cluster", "predict")}


def example(data, n, *, seed=0, table_key=None, library_key=None, copy=False):
    """Do something.

    It takes a while.

    Parameters
    ----------
    data, n
        What is taken,

        - and how often.
    library_key
        Own words.

    Returns
    -------
    None.
    """


def parameters(docstring: str) -> dict[str, str]:
    """Name of each entry of the section to what it says."""
    section = docstring.partition("Parameters\n----------\n")[2].partition("\n\nReturns\n---")[0]
    entries: dict[str, str] = {}
    for line in section.splitlines():
        if line and not line.startswith(" "):
            name = line
            entries[name] = ""
        else:
            entries[name] += f"{line.strip()} "
    return {name: text.strip() for name, text in entries.items()}


def test_what_is_shared_comes_in_where_the_signature_has_it():
    said = parameters(with_parameters(example.__doc__, inspect.signature(example), SHARED))
    assert list(said) == ["data, n", "table_key", "library_key", "copy"]
    assert said["data, n"] == "What is taken,  - and how often."
    assert said["library_key"] == "Own words."
    assert said["copy"] == SHARED["copy"]


def test_what_is_around_the_parameters_stays():
    told = with_parameters(example.__doc__, inspect.signature(example), SHARED)
    assert told.startswith("Do something.\n\nIt takes a while.\n\nParameters\n")
    assert told.endswith("\n\nReturns\n-------\nNone.")


def test_a_docstring_may_end_with_its_parameters():
    told = with_parameters("Do.\n\nParameters\n----------\ndata\n    It.", inspect.signature(example), SHARED)
    assert list(parameters(told)) == ["data", "table_key", "library_key", "copy"]


def test_without_docstrings_there_is_nothing_to_complete():
    def function(copy):
        pass

    assert described(function).__doc__ is None


def test_a_docstring_without_parameters_is_refused():
    with pytest.raises(ValueError, match="not found"):
        with_parameters("Do.", inspect.signature(example), SHARED)


@pytest.mark.parametrize("name", PUBLIC)
def test_help_tells_every_parameter_in_order(name: str):
    each = PUBLIC[name]
    told = [one for entry in parameters(inspect.getdoc(each)) for one in entry.split(", ")]
    taken = [one for one in inspect.signature(each).parameters if one != "self"]
    if name != "tl.MultiSTConfig":  # which tells its fields as attributes
        assert [one for one in told if one in taken] == taken
    assert max(map(len, inspect.getdoc(each).splitlines())) <= 120


def test_nothing_is_described_that_is_not_shared():
    users = Counter(entry for each in PUBLIC.values() for entry in parameters(inspect.getdoc(each)).items())
    assert [name for name, text in (SHARED | ARGUMENTS).items() if users[name, text] < 2] == []


def test_a_function_stays_the_one_that_was_written():
    assert inspect.signature(mt.tl.multist_domains).parameters["copy"].default is False
    assert inspect.unwrap(mt.tl.multist_domains) is mt.tl.multist_domains
    assert pickle.loads(pickle.dumps(mt.tl.multist_domains)) is mt.tl.multist_domains
