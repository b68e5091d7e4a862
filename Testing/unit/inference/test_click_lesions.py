"""Clicks in several lesions: which belong together, and that each lesion is segmented from its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dsm.core.click import Click
from dsm.core.volume import Volume
from dsm.errors import InputError, JobCancelled
from dsm.inference.click_lesions import ClickedLesions
from dsm.inference.click_scan import ClickScan

LEFT, RIGHT, FAR = (20, 20, 20), (46, 20, 20), (20, 46, 40)
RADIUS = 6


class BrightBalls:
    """Predictor that finds what is bright in a window, and with clicks in two balls everything, as the network does."""

    size = 32
    coarsest_mm = 10.0

    def __init__(self) -> None:
        self.asked: list[int] = []

    def look(self, image: Tensor, clicks: Sequence[tuple], *, previous: Tensor, text: Tensor) -> Tensor:
        inner = np.array([point for point, inside in clicks if inside])
        self.asked.append(len(clicks))
        if np.ptp(inner, axis=0).max() > 15:
            return torch.full_like(image, 5.0)
        logits = torch.where(image > 0.5, 5.0, -5.0)
        for point, inside in clicks:
            if not inside:
                i, j, k = (round(value) for value in point)
                logits[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2, max(0, k - 1) : k + 2] = -5.0
        return logits


@pytest.fixture
def volume() -> Volume:
    grid = np.indices((64, 64, 56)).transpose(1, 2, 3, 0)
    array = np.zeros(grid.shape[:3], np.float32)
    for middle in (LEFT, RIGHT, FAR):
        array[np.linalg.norm(grid - middle, axis=-1) <= RADIUS] = 100
    return Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))


@pytest.fixture
def predictor() -> BrightBalls:
    return BrightBalls()


@pytest.fixture
def lesions(volume: Volume, predictor: BrightBalls) -> ClickedLesions:
    return ClickedLesions(ClickScan.of(volume, predictor, units=(0.0, 100.0)))


def at(voxel: tuple[int, int, int], *, inside: bool = True) -> Click:
    i, j, k = voxel
    return Click((1.5 * i, 1.5 * j, 1.5 * k), inside=inside)


def share(lesions: ClickedLesions, clicks: Sequence[Click], *middles: tuple[int, int, int]) -> float:
    """Dice of the mask of the clicks, and balls."""
    grid = np.indices(lesions.scan.volume.shape).transpose(1, 2, 3, 0)
    truth = np.any([np.linalg.norm(grid - middle, axis=-1) <= RADIUS for middle in middles], axis=0)
    found = lesions.segment(clicks).mask.paste_into(truth.shape) != 0
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_each_clicked_lesion_is_found_and_nothing_between(lesions: ClickedLesions) -> None:
    assert share(lesions, [at(LEFT)], LEFT) > 0.9
    assert share(lesions, [at(LEFT), at(RIGHT)], LEFT, RIGHT) > 0.9
    assert share(lesions, [at(LEFT), at(RIGHT), at(FAR)], LEFT, RIGHT, FAR) > 0.9
    together = lesions.scan.segment([at(LEFT), at(RIGHT)]).mask
    assert together.array.sum() > 5 * lesions.segment([at(LEFT), at(RIGHT)]).mask.array.sum(), "the fault it avoids"


def test_volume_is_that_of_all_lesions(lesions: ClickedLesions) -> None:
    one, two = lesions.segment([at(LEFT)]), lesions.segment([at(LEFT), at(RIGHT)])
    assert two.volume_ml == pytest.approx(2 * one.volume_ml, rel=0.1)
    assert type(two.volume_ml) is float, "it goes over the wire as JSON"


def test_more_clicks_change_their_own_lesion(lesions: ClickedLesions) -> None:
    wrong = at((RIGHT[0] + 5, RIGHT[1], RIGHT[2]), inside=False)
    found = lesions.segment([at(LEFT), at(RIGHT), wrong]).mask
    assert found.holds(LEFT)
    assert found.holds(RIGHT)
    assert not found.holds((RIGHT[0] + 5, RIGHT[1], RIGHT[2]))
    again = at((LEFT[0] + 2, LEFT[1], LEFT[2]))
    assert share(lesions, [at(LEFT), at(RIGHT), again], LEFT, RIGHT) > 0.9


def test_a_click_near_an_earlier_one_is_of_the_same_lesion(lesions: ClickedLesions, predictor: BrightBalls) -> None:
    lesions.segment([at(LEFT)])
    predictor.asked.clear()
    beside = at((LEFT[0] + 5, LEFT[1] + 4, LEFT[2]))
    assert share(lesions, [at(LEFT), at((LEFT[0] + 3, LEFT[1], LEFT[2])), beside], LEFT) > 0.9
    assert min(predictor.asked) > 1, "no look at one click alone"


def test_first_click_may_be_outside(lesions: ClickedLesions) -> None:
    away = at((33, 20, 20), inside=False)
    assert share(lesions, [away, at(LEFT), at(RIGHT)], LEFT, RIGHT) > 0.9
    with pytest.raises(InputError, match="inside"):
        lesions.segment([away])


def test_it_can_be_cancelled_between_looks(lesions: ClickedLesions) -> None:
    looks = []

    def on_look() -> None:
        looks.append(None)
        if len(looks) > 4:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        lesions.segment([at(LEFT), at(RIGHT), at(FAR)], on_look=on_look)
    assert share(lesions, [at(LEFT), at(RIGHT)], LEFT, RIGHT) > 0.9


def test_one_more_lesion_costs_one_click_however_many_there_are(predictor: BrightBalls) -> None:
    middles = [(10 + 20 * a, 10 + 20 * b, 10 + 20 * c) for a in range(5) for b in range(4) for c in range(2)]
    grid = np.indices((104, 84, 44)).transpose(1, 2, 3, 0)
    array = np.zeros(grid.shape[:3], np.float32)
    for middle in middles:
        array[np.linalg.norm(grid - middle, axis=-1) <= 4] = 100
    lesions = ClickedLesions(ClickScan.of(Volume(array, np.diag([1.5, 1.5, 1.5, 1.0])), predictor, units=(0.0, 100.0)))
    costs = []
    for count in range(1, len(middles) + 1):
        predictor.asked.clear()
        found = lesions.segment([at(middle) for middle in middles[:count]]).mask
        costs.append(len(predictor.asked))
    assert max(costs[1:]) <= 2 * costs[0]
    assert all(found.holds(middle) for middle in middles)
