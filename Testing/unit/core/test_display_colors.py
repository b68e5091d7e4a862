"""Display colours are distinguishable, with and without deuteranopia."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dsm.core.display_colors import (
    LEAST_DIFFERENCE,
    LEAST_DIFFERENCE_DEUTERANOPIA,
    RGB,
    ciede2000,
    difference,
    distinct_color,
)
from dsm.models.config import ModelConfig
from dsm.text.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [  # of the test data that the formula is published with (Sharma, Wu and Dalal 2005)
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ],
)
def test_formula(one: tuple[float, ...], other: tuple[float, ...], expected: float) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=5e-5)
    assert ciede2000(np.array(other), np.array(one)) == pytest.approx(expected, abs=5e-5)


def test_red_and_green_are_similar_in_deuteranopia() -> None:
    red, green = (200, 90, 60), (130, 130, 40)
    assert difference(red, green, deuteranopia=True) < difference(red, green) / 3


SHIPPED = Path(__file__).parents[3] / "model_weights" / "dsm-small"


def learned_colors() -> dict[str, RGB]:
    colors = {structure.name: structure.color for structure in load_vocabulary().structures}
    names = [*ModelConfig.load(SHIPPED).trained, "kidney tumor"]
    return {name: colors[name] for name in names}


def shown(standard: dict[str, RGB]) -> dict[str, RGB]:
    found: dict[str, RGB] = {}
    for name, color in standard.items():
        found[name] = distinct_color(color, list(found.values()))
    return found


@pytest.mark.parametrize("start", range(18))
def test_learned_structures_are_distinguishable_in_any_order(start: int) -> None:
    names = list(learned_colors())
    standard = {name: learned_colors()[name] for name in names[start:] + names[:start]}
    assert len(standard) == 18
    for one, other in combinations(shown(standard).items(), 2):
        assert difference(one[1], other[1]) >= LEAST_DIFFERENCE, (one, other)
        assert difference(one[1], other[1], deuteranopia=True) >= LEAST_DIFFERENCE_DEUTERANOPIA, (one, other)


def test_standard_colors_do_not_differ_enough() -> None:
    standard = list(learned_colors().values())
    assert min(difference(one, other) for one, other in combinations(standard, 2)) < 5


def test_few_colors_differ_more_than_many() -> None:
    standard = list(learned_colors().items())
    few, many = (
        min(difference(one, other) for one, other in combinations(shown(dict(standard[:count])).values(), 2))
        for count in (3, 18)
    )
    assert few > 1.5 * many


def test_color_differs_from_a_color_chosen_by_the_user() -> None:
    chosen = (119, 0, 255)
    assert difference(distinct_color((119, 0, 255), [chosen]), chosen) > 2 * LEAST_DIFFERENCE


def test_a_palette_that_is_used_up_is_used_evenly() -> None:
    found: list[RGB] = []
    for _ in range(60):
        found.append(distinct_color((200, 90, 60), found))
    assert {found.count(color) for color in found} == {3}
