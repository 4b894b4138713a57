"""One partition from many: names do not matter, the many overrule the few."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from multist.cluster.consensus import _agreement, aligned, consensus

TRUTH = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])


def renamed(labels: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(4)[labels]


def spoilt(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < share, rng.integers(4, size=len(labels)), labels)


def test_names_do_not_matter():
    labels, votes = consensus(np.stack([renamed(TRUTH, s) for s in range(6)]), 4)
    assert adjusted_rand_score(TRUTH, labels) == 1
    np.testing.assert_array_equal(votes[np.arange(100), labels], 1)


def test_the_vote_is_better_than_any_voter():
    voters = np.stack([renamed(spoilt(TRUTH, 0.3, s), s) for s in range(11)])
    labels, votes = consensus(voters, 4)
    alone = max(adjusted_rand_score(TRUTH, voter) for voter in voters)
    assert adjusted_rand_score(TRUTH, labels) > max(0.95, alone)
    np.testing.assert_allclose(votes.sum(axis=1), 1)
    assert 0.5 < votes[np.arange(100), labels].mean() < 1


def test_one_that_disagrees_is_overruled():
    other = np.arange(100) % 4
    labels = consensus(np.stack([TRUTH, renamed(TRUTH, 1), other, renamed(TRUTH, 2)]), 4)[0]
    assert adjusted_rand_score(TRUTH, labels) == 1


def test_agreement_is_the_adjusted_rand_index():
    rng = np.random.default_rng(0)
    one = np.zeros(100, dtype=np.int64)
    voters = np.stack([TRUTH, renamed(TRUTH, 1), spoilt(TRUTH, 0.5, 1), one, one, rng.integers(4, size=100)])
    expected = [[adjusted_rand_score(a, b) for b in voters] for a in voters]
    np.testing.assert_array_equal(_agreement(voters.astype(np.uint8), 4), expected)


def test_a_single_partition_is_returned_as_it_is():
    labels, votes = consensus(TRUTH[None], 4)
    np.testing.assert_array_equal(labels, TRUTH)
    np.testing.assert_array_equal(votes, np.eye(4)[TRUTH])


def test_a_partition_may_leave_labels_out():
    merged = np.minimum(TRUTH, 1)
    labels, votes = consensus(np.stack([TRUTH, merged, TRUTH]), 4)
    assert adjusted_rand_score(TRUTH, labels) == 1
    assert votes.shape == (100, 4)


def test_aligning_renames_and_does_nothing_else():
    other = renamed(TRUTH, 3)
    np.testing.assert_array_equal(aligned(other, TRUTH, 4), TRUTH)
    random = np.random.default_rng(0).integers(4, size=100)
    assert adjusted_rand_score(random, aligned(random, TRUTH, 4)) == 1


def test_the_same_every_time():
    voters = np.stack([spoilt(TRUTH, 0.6, s) for s in range(5)])
    np.testing.assert_array_equal(consensus(voters, 4)[0], consensus(voters, 4)[0])
