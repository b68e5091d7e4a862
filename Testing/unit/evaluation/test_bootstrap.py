import numpy as np
import pytest

from dsm.evaluation.bootstrap import bootstrap_mean, bootstrap_mean_of_columns


def test_mean_and_interval_of_a_large_sample():
    values = np.random.default_rng(1).normal(5, 2, size=400)
    found = bootstrap_mean(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 400
    # A normal mean: 1.96 standard errors on both sides.
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_interval_of_one_case_is_its_value():
    found = bootstrap_mean([0.7])
    assert found.low == found.mean == found.high == pytest.approx(0.7)


def test_repeatable():
    assert bootstrap_mean([1, 2, 4]) == bootstrap_mean([1, 2, 4])


def test_weighted_mean():
    # 1 of 1, and 2 of 9 lesions: 3 of 10.
    assert bootstrap_mean([1, 2 / 9], [1, 9]).mean == pytest.approx(0.3)


def test_interval_of_two_cases_spans_their_values():
    found = bootstrap_mean([0.0, 1.0])
    assert (found.low, found.mean, found.high) == (0, 0.5, 1)  # a quarter of the resamples each


def test_paired_difference_has_a_narrower_interval_than_two_means():
    rng = np.random.default_rng(0)
    cases = rng.uniform(0, 1, size=20)
    better = cases + 0.05 + rng.normal(0, 0.01, size=20)
    difference = bootstrap_mean(better - cases)
    assert difference.low > 0.03
    assert bootstrap_mean(better).low < bootstrap_mean(cases).high  # which two intervals could not tell


def test_columns_of_unequal_length():
    table = np.array([[1.0, 0.0], [0.5, np.nan], [0.0, np.nan]])
    found = bootstrap_mean_of_columns(table)
    assert found.mean == pytest.approx((0.5 + 0.0) / 2)  # a name counts once, however many cases have it
    assert found.n == 3
    assert 0 <= found.low < found.mean < found.high <= 1
