import numpy as np
import pytest

from dsm.evaluation.ranking import rank


def test_hand_computed():
    # Pairs won: 0.9 beats 3, 0.4 beats 0.1 and 0.3 and ties with none, loses to 0.5: 5 of 6.
    found = rank(np.array([0.9, 0.4]), np.array([0.1, 0.3, 0.5]))
    assert found.auroc == pytest.approx(5 / 6)
    # 95 % of two voxels are both: the threshold is 0.4.
    assert found.fpr95 == pytest.approx(1 / 3)


def test_ties_count_half():
    found = rank(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    assert found.auroc == pytest.approx((0.5 + 1 + 0 + 0.5) / 4)
    assert found.fpr95 == 1
    assert rank(np.zeros(5), np.zeros(7)).auroc == pytest.approx(0.5)


def test_fpr95_is_at_95_percent_sensitivity():
    positives = np.arange(1, 101.0)
    negatives = np.array([5.5, 6.0, 0.0, 50.0])
    # The 95 highest are 6 to 100; 6 itself still counts as found.
    assert rank(positives, negatives).fpr95 == pytest.approx(2 / 4)


def test_perfect_and_reversed():
    low, high = np.arange(10.0), np.arange(10.0, 30)
    assert (rank(high, low).auroc, rank(high, low).fpr95) == (1, 0)
    assert (rank(low, high).auroc, rank(low, high).fpr95) == (0, 1)


def test_order_and_scale_do_not_matter():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 500), rng.normal(0, 1, 900)
    brute = np.mean(a[:, None] > b[None])
    assert rank(a, b).auroc == pytest.approx(brute)
    assert rank(np.exp(a[::-1]), np.exp(b)) == rank(a, b)
