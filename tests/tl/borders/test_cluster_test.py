"""squidpy's test under names that it cannot misread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multist.tl.borders import _cluster_test as module
from multist.tl.borders._cluster_test import squidpys_test
from multist.tl.borders._molecules import Molecules

pytestmark = pytest.mark.slow  # the first to run makes what all of them read

N = 60


@pytest.fixture(scope="module")
def evidence():
    """The ligand in domain 1, the receptor in domain 2, a third molecule nowhere but in domain 0.

    Domain 3 touches nothing.
    """
    rng = np.random.default_rng(0)
    domain = np.repeat([0, 1, 2, 3, -1], N)
    expression = rng.gamma(2.0, 0.2, (len(domain), 3)).astype(np.float32)
    expression[domain == 1, 0] += 2
    expression[domain == 2, 1] += 2
    expression[:, 2] *= domain == 0
    expression[domain == 3] += 50
    expression[domain == -1] += 99
    # names that differ in case only, or look like complexes
    pairs = pd.DataFrame({"source": ["l_1", "L_1"], "target": ["R", "r"]})
    molecules = Molecules(pairs, [(0,), (1,), (2,)], np.array([0, 2]), np.array([1, 1]))
    directed = [(0, 1), (1, 0), (1, 2), (2, 1)]
    found = squidpys_test(expression, molecules, domain, directed, threshold=0.1, n_perms=100, random_state=0)
    return *found, expression, domain


def test_means_and_directions(evidence):
    mean, pvalue, expression, domain = evidence
    assert mean.shape == pvalue.shape == (2, 4)
    expected = (expression[domain == 1, 0].mean() + expression[domain == 2, 1].mean()) / 2
    assert mean[0, 2] == pytest.approx(expected, rel=1e-5)
    assert pvalue[0, 2] == 0
    assert pvalue[0, 3] > 0.5


def test_what_is_not_expressed_is_not_tested(evidence):
    _, pvalue, _, _ = evidence
    assert np.isfinite(pvalue[1, 0])
    assert np.isnan(pvalue[1, 1:]).all()


def test_of_many_spots_a_sample_stands_for_all_and_small_domains_keep_theirs(monkeypatch):
    monkeypatch.setattr(module, "_MAX_TESTED", 300)
    monkeypatch.setattr(module, "_LEAST_TESTED", 20)
    domain = np.repeat([0, 1, 2, -1], [900, 280, 15, 50])
    chosen = module._some_of_each(domain, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(domain[chosen]), [225, 70, 15])
    assert len(np.unique(chosen)) == len(chosen) and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, module._some_of_each(domain, np.random.default_rng(0)))
    assert len(module._some_of_each(domain[1100:], np.random.default_rng(0))) == 95
