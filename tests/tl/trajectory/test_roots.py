"""The rule by which a root is chosen."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from multist.tl.trajectory._roots import Root, read_root, root_cell, root_domain, warn_of_crowd, warn_of_sections


def test_the_rule_does_not_depend_on_the_sign_of_a_component():
    component = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0])
    domains = np.array(["a", "a", "b", "b", "b", "c", "c"], dtype=object)
    assert root_domain(component, domains, 2) == root_domain(-component, domains, 2) == "c"
    assert root_cell(component, domains, "c") == root_cell(-component, domains, "c") == 6
    assert root_cell(component, domains, "a") == root_cell(-component, domains, "a") == 0
    # two cells are too few for a domain to count
    assert root_domain(component, domains, 3) == "b"


def test_equal_domains_are_told_apart_by_size_then_name():
    component = np.array([-1.0, -1.0, 0.0, 1.0, 1.0, 1.0, -1.0])
    names = ["b", "b", "m", "c", "c", "c", "b"]
    assert root_domain(component, np.array(names, dtype=object), 1) == "b"
    names[0] = None
    assert root_domain(component, np.array(names, dtype=object), 1) == "c"


def test_without_domains_the_farthest_cell_is_taken():
    none = np.array([None] * 4, dtype=object)
    component = np.array([0.0, 0.1, 0.2, 0.9])
    assert root_domain(component, none, 1) is None
    assert root_cell(component, none, None) == 3


def test_a_domain_without_cells_is_not_found():
    domains = pd.Series(pd.Categorical(["a", "a"], ["a", "empty"]))
    names = pd.Index(["x", "y"])
    assert read_root("a", names, domains, "domain") == Root(domain="a")
    assert read_root("y", names, domains, "domain") == Root(domain="a", cell=1)
    with pytest.raises(KeyError, match="'empty' is neither .*domains in obs\\['domain'\\]: 'a'"):
        read_root("empty", names, domains, "domain")


def test_a_name_of_both_is_the_domain(caplog: pytest.LogCaptureFixture):
    domains = pd.Series(pd.Categorical(["0", "1"]))
    with caplog.at_level(logging.INFO, logger="multist"):
        assert read_root("0", pd.Index(["1", "0"]), domains, "domain") == Root(domain="0")
    assert "the domain is taken" in caplog.text


@pytest.mark.parametrize(("crowd", "said"), [(0.6, False), (0.75, True)])
def test_a_pseudotime_that_hardly_tells_most_cells_apart_is_warned_of(crowd, said, caplog):
    cells = np.arange(1000) / 1000
    time = np.where(cells < crowd, 0.9 + 0.1 * cells, cells * 0.8)
    warn_of_crowd(time)
    assert (f"tells {100 * crowd:.0f} % of the cells hardly apart" in caplog.text) == said
    warn_of_crowd(np.linspace(0, 1, 1000))
    assert caplog.text.count("hardly apart") == int(said)


@pytest.mark.parametrize(("shift", "said"), [(0.0, False), (0.5, False), (0.95, True)])
def test_a_pseudotime_that_goes_from_section_to_section_is_warned_of(shift, said, caplog):
    time = np.concatenate([np.linspace(0, 1, 200) + shift, np.linspace(0, 1, 300), [np.nan]])
    warn_of_sections(time, np.repeat([0, 1], [200, 301]), ("second", "first"))
    assert ("a cell of 'first' comes before one of 'second'" in caplog.text) == said
    warn_of_sections(time[:200], np.zeros(200, int), ("alone",))
    assert caplog.text.count("apart") == int(said)
