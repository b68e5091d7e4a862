"""Answers and labels of results, by the kind of a name."""

from dataclasses import replace

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.core.name_status import CUT_OFF, Answer, ImageRule, NameKind, NameStatus, ResultLabel, result_label
from dsm.core.result import PromptResult
from dsm.text.prompt import parse_prompts

LEARNED = NameStatus(NameKind.LEARNED)
BY_NAME = NameStatus(NameKind.RELATED, learned_name="liver tumor")
BY_RULE = NameStatus(NameKind.RELATED, rule=ImageRule.LUNG_NODULES)
UNKNOWN = NameStatus(NameKind.UNKNOWN)


@pytest.mark.parametrize(
    ("status", "guess", "answer"),
    [
        (LEARNED, False, Answer.LEARNED),
        (LEARNED, True, Answer.LEARNED),
        (BY_NAME, True, Answer.RELATED_NAME),
        (BY_RULE, True, Answer.IMAGE_RULE),
        (UNKNOWN, True, Answer.GUESS),
        (UNKNOWN, False, Answer.NONE),
    ],
)
def test_answer_follows_the_kind_and_the_choice_to_guess(status: NameStatus, guess: bool, answer: Answer) -> None:
    assert status.answer(guess=guess) is answer


@pytest.mark.parametrize(
    ("answer", "found", "warnings", "label"),
    [
        (Answer.LEARNED, True, (), ResultLabel.FOUND),
        (Answer.LEARNED, True, (CUT_OFF,), ResultLabel.FOUND),
        (Answer.LEARNED, True, (CUT_OFF, "Check: it."), ResultLabel.CHECK),
        (Answer.LEARNED, True, (f"Check: it. {CUT_OFF}",), ResultLabel.CHECK),
        (Answer.LEARNED, True, ("Check: it.",), ResultLabel.CHECK),
        (Answer.LEARNED, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (Answer.RELATED_NAME, True, ("Check: it.",), ResultLabel.RELATED_NAME),
        (Answer.IMAGE_RULE, True, (), ResultLabel.IMAGE_RULE),
        (Answer.IMAGE_RULE, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (Answer.GUESS, True, ("Check: it.",), ResultLabel.GUESS),
        (Answer.GUESS, False, ("Check: it.",), ResultLabel.NOT_FOUND),
        (Answer.NONE, False, ("Check: it.",), ResultLabel.NOT_KNOWN),
        (Answer.CLICK, True, ("Check: it.",), ResultLabel.CLICK),
        (Answer.CLICK, False, (), ResultLabel.NOT_FOUND),
    ],
)
def test_label_says_what_has_to_be_checked(
    answer: Answer, found: bool, warnings: tuple[str, ...], label: ResultLabel
) -> None:
    assert result_label(answer, found=found, warnings=warnings) is label


@pytest.mark.parametrize(("status", "answer"), [(BY_RULE, Answer.IMAGE_RULE), (None, Answer.LEARNED)])
def test_result_tells_its_source(status: NameStatus | None, answer: Answer) -> None:
    (prompt,) = parse_prompts("liver")
    empty = CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    result = PromptResult(prompt, empty, (1, 1, 1), False, 0.0, 0.0, 0.0, 0.5, name_status=status)
    assert result.answer is answer


def test_clicks_are_the_source_whatever_the_name() -> None:
    (prompt,) = parse_prompts("liver")
    empty = CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    clicked = replace(prompt, clicks=(Click((1, 2, 3)),))
    for status in (LEARNED, UNKNOWN, None):
        result = PromptResult(clicked, empty, (1, 1, 1), False, None, 0.0, 0.0, 0.5, name_status=status)
        assert result.answer is Answer.CLICK
