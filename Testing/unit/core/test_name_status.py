"""Source and label of a result, by the status of its name."""

from dataclasses import replace

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.core.name_status import CUT_OFF, ImageRule, NameKind, NameStatus, ResultLabel, ResultSource, result_label
from dsm.core.result import PromptResult
from dsm.text.prompt import parse_prompts

LEARNED = NameStatus(NameKind.LEARNED)
BY_NAME = NameStatus(NameKind.RELATED, learned_name="liver tumor")
BY_RULE = NameStatus(NameKind.RELATED, rule=ImageRule.LUNG_NODULES)
UNKNOWN = NameStatus(NameKind.UNKNOWN)


@pytest.mark.parametrize(
    ("status", "guess", "source"),
    [
        (LEARNED, False, ResultSource.LEARNED),
        (LEARNED, True, ResultSource.LEARNED),
        (BY_NAME, True, ResultSource.RELATED_NAME),
        (BY_RULE, True, ResultSource.IMAGE_RULE),
        (UNKNOWN, True, ResultSource.GUESS),
        (UNKNOWN, False, ResultSource.NONE),
    ],
)
def test_source_of_a_result(status: NameStatus, guess: bool, source: ResultSource) -> None:
    assert status.source(guess=guess) is source


@pytest.mark.parametrize(
    ("source", "found", "warnings", "label"),
    [
        (ResultSource.LEARNED, True, (), ResultLabel.FOUND),
        (ResultSource.LEARNED, True, (CUT_OFF,), ResultLabel.FOUND),
        (ResultSource.LEARNED, True, (CUT_OFF, "Check: it."), ResultLabel.CHECK),
        (ResultSource.LEARNED, True, (f"Check: it. {CUT_OFF}",), ResultLabel.CHECK),
        (ResultSource.LEARNED, True, ("Check: it.",), ResultLabel.CHECK),
        (ResultSource.LEARNED, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (ResultSource.RELATED_NAME, True, ("Check: it.",), ResultLabel.RELATED_NAME),
        (ResultSource.IMAGE_RULE, True, (), ResultLabel.IMAGE_RULE),
        (ResultSource.IMAGE_RULE, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (ResultSource.GUESS, True, ("Check: it.",), ResultLabel.GUESS),
        (ResultSource.GUESS, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (ResultSource.NONE, False, ("Check: it.",), ResultLabel.NOT_KNOWN),
        (ResultSource.CLICK, True, ("Check: it.",), ResultLabel.CLICK),
        (ResultSource.CLICK, False, (), ResultLabel.NOT_FOUND),
    ],
)
def test_result_label(source: ResultSource, found: bool, warnings: tuple[str, ...], label: ResultLabel) -> None:
    assert result_label(source, found=found, warnings=warnings) is label


@pytest.mark.parametrize(("status", "source"), [(BY_RULE, ResultSource.IMAGE_RULE), (None, ResultSource.LEARNED)])
def test_result_has_its_source(status: NameStatus | None, source: ResultSource) -> None:
    (prompt,) = parse_prompts("liver")
    empty = CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    result = PromptResult(prompt, empty, (1, 1, 1), False, 0.0, 0.0, 0.0, 0.5, name_status=status)
    assert result.source is source


def test_source_of_a_clicked_result_is_click() -> None:
    (prompt,) = parse_prompts("liver")
    empty = CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    clicked = replace(prompt, clicks=(Click((1, 2, 3)),))
    for status in (LEARNED, UNKNOWN, None):
        result = PromptResult(clicked, empty, (1, 1, 1), False, None, 0.0, 0.0, 0.5, name_status=status)
        assert result.source is ResultSource.CLICK
