"""Volumes that names lead to expect."""

from __future__ import annotations

import pytest

from dsm.inference.anatomy import VOLUME_ML
from dsm.inference.expected_volume import expected_ml, surprise


@pytest.mark.parametrize("name", sorted(VOLUME_ML))
def test_organ_is_expected_between_its_plausible_volumes(name: str) -> None:
    low, high = VOLUME_ML[name]
    expected = expected_ml(name)
    assert expected is not None
    assert expected / low == pytest.approx(high / expected)


def test_only_lesions_with_enough_cases_have_a_volume() -> None:
    assert expected_ml("liver tumor") == 2.6
    assert expected_ml("schwannoma") is None


def test_surprise_grows_with_the_distance_in_both_directions() -> None:
    assert surprise(10, 10) == 1
    assert surprise(5, 10) == pytest.approx(surprise(20, 10))
    assert 1 < surprise(20, 10) < surprise(100, 10)
    assert surprise(1e-3, None) == 1
