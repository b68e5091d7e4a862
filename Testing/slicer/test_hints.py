"""What one is told about a prompt while typing it."""

from __future__ import annotations

import pytest

from DSMSegmentLib.panel.hints import HintLevel, promptHints

TRAINED = ("liver", "left kidney", "right kidney")


def test_known_and_trained_is_good() -> None:
    (hint,) = promptHints("the Liver", modality="CT", trained=TRAINED)
    assert (hint.level, str(hint)) == (HintLevel.GOOD, "✓ liver")


def test_known_but_not_trained_is_doubtful() -> None:
    (hint,) = promptHints("pancreas", modality="CT", trained=TRAINED)
    assert hint.level is HintLevel.DOUBT
    assert "not trained" in hint.text


def test_typing_error_gets_a_suggestion() -> None:
    (hint,) = promptHints("lefft kidny", trained=TRAINED)
    assert hint.level is HintLevel.DOUBT
    assert "“left kidney”" in hint.text


def test_other_modality_is_doubtful() -> None:
    from dsm.text.vocabulary import load_vocabulary

    first_mr = next(structure for structure in load_vocabulary().structures if structure.modalities[0] == "MR")
    (hint,) = promptHints(first_mr.name, modality="CT")
    assert hint.text == "usually seen on MR, this volume is CT."
    assert promptHints(first_mr.name, modality="MR")[0].level is HintLevel.GOOD
    assert promptHints("liver", modality="MR")[0].level is HintLevel.GOOD


def test_text_for_two_gives_two_hints() -> None:
    assert [hint.name for hint in promptHints("kidneys", trained=TRAINED)] == ["left kidney", "right kidney"]


@pytest.mark.parametrize("text", ["", " \n "])
def test_nothing_typed_gives_no_hint(text: str) -> None:
    assert promptHints(text) == []


def test_what_cannot_be_a_prompt_is_a_problem() -> None:
    (hint,) = promptHints("???")
    assert hint.level is HintLevel.PROBLEM
    assert "no words" in hint.text
