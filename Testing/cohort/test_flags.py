from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsm.cohort.flags import flags_of
from dsm.core.boxes import CroppedArray
from dsm.core.name_status import NameKind, NameStatus
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.text.prompt import parse_prompts

SHAPE = (8, 9, 10)


def result(name: str = "liver", *, score: float | None = 0.9, start: tuple[int, int, int] = (2, 2, 2)) -> PromptResult:
    mask = CroppedArray(np.ones((3, 3, 3), np.uint8), start)
    return PromptResult(parse_prompts(name)[0], mask, SHAPE, True, score, 1.0, 0.0, 0.5)


def volume(*, modality: str = "CT", thickness: float = 3.0) -> Volume:
    return Volume(np.zeros(SHAPE), np.diag([1, 1, thickness, 1]), modality)


@pytest.mark.parametrize(
    ("found", "scan", "flags"),
    [
        (result(), volume(), ()),
        (result(start=(0, 2, 2)), volume(), ("touches_edge",)),
        (result(start=(2, 2, 7)), volume(), ("touches_edge",)),
        (result(start=(2, 2, 6)), volume(), ()),
        (result(score=0.4), volume(), ("low_score",)),
        (result(score=None), volume(), ()),
        (result("spleen"), volume(), ("zero_shot",)),
        (result(), volume(thickness=7.5), ("thick_slices",)),
    ],
)
def test_flags(found: PromptResult, scan: Volume, flags: tuple[str, ...]) -> None:
    assert flags_of(found, scan, ("liver",)) == flags


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"model": "dsm-head-heart", "name_status": NameStatus(NameKind.LEARNED)}, ()),
        ({"model": "dsm-head-heart"}, ()),  # clicked
        ({"name_status": NameStatus(NameKind.LEARNED)}, ()),
        ({"name_status": NameStatus(NameKind.RELATED)}, ("zero_shot",)),
        ({}, ("zero_shot",)),
    ],
)
def test_name_that_its_own_model_has_learned_is_not_zero_shot(changes: dict[str, Any], flags: tuple[str, ...]) -> None:
    assert flags_of(replace(result("mandible"), **changes), volume(), ("liver",)) == flags


def test_guess_at_a_name_of_the_other_modality_is_zero_shot() -> None:
    guess = replace(result(), name_status=NameStatus(NameKind.UNKNOWN, code="name.modality"), guess=True)
    assert flags_of(guess, volume(), ("liver",)) == ("zero_shot",)


def test_missing_structure_has_no_edge_or_score_flag() -> None:
    nothing = CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    missing = PromptResult(parse_prompts("liver")[0], nothing, SHAPE, False, None, 0.0, 0.0, 0.5)
    assert flags_of(missing, volume(), ("liver",)) == ()
