"""Hints about prompts, by the kind of their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsm.models.store import model_entry
from DSMSegmentLib.panel.hints import HintLevel, PromptContext, PromptHint, hintLines, promptHints

TRAINED = ("liver", "left kidney", "right kidney", "liver tumor", "peritumoral edema", "left lung", "right lung")
CT = PromptContext("CT", TRAINED)
GUESS = PromptContext("CT", TRAINED, guess=True)


def hint(text: str, context: PromptContext = CT) -> PromptHint:
    (one,) = promptHints(text, context)
    return one


def test_learned_is_good() -> None:
    assert hint("the Liver") == PromptHint(HintLevel.GOOD, "liver")
    assert str(hint("the Liver")) == "✓ liver"


@pytest.mark.parametrize(
    ("text", "trained", "lines"),
    [
        ("liver\nSpleen", ("liver", "spleen"), ["✓ learned"]),
        ("liver\nspleen", (), ["✓ in the vocabulary"]),
        ("liver\nheart", ("liver",), ["! heart: not known to this model: click on it."]),
        ("the Liver\nspleen", ("liver", "spleen"), ["✓ liver"]),
        ("", ("liver",), []),
    ],
    ids=["all good", "unknown model", "one to look at", "understood as another word", "nothing"],
)
def test_lines_say_what_the_list_does_not(text: str, trained: tuple[str, ...], lines: list[str]) -> None:
    assert hintLines(text, PromptContext("CT", trained)) == lines


def test_name_that_cannot_be_clicked_is_drawn_where_one_can_draw() -> None:
    model_without_clicks = replace(CT, clicks=False)
    unknown = "not known to this model."
    assert hint("heart", model_without_clicks).text == unknown
    drawn = f"{unknown} The model takes no clicks: draw it after the run."
    assert hint("heart", replace(model_without_clicks, draws=True)).text == drawn
    assert hint("heart", replace(CT, draws=True)).text == "not known to this model: click on it."


def test_of_many_lines_those_that_need_a_look_come_first() -> None:
    text = "\n".join(["the liver", *(f"xyzzy {letter}" for letter in "abcdefghij")])
    lines = hintLines(text, PromptContext("CT", ("liver",)))
    assert len(lines) == 9
    assert all(line.startswith("! xyzzy") for line in lines[:8])
    assert lines[8] == "…"


def test_hint_says_which_related_name_is_used() -> None:
    expected = PromptHint(HintLevel.DOUBT, "liver metastasis", "segmented as liver tumor; check the mask.")
    assert hint("liver metastasis") == expected


def test_image_rule_is_to_be_checked() -> None:
    expected = PromptHint(HintLevel.DOUBT, "lung tumor", "not learned; marked by a rule on the image, check the mask.")
    assert hint("lung nodule") == expected


@pytest.mark.parametrize("text", ["pancreas", "aneurysm", "grey spot"])
def test_unknown_name_marks_nothing_unless_guesses_are_allowed(text: str) -> None:
    refused, guess = hint(text), hint(text, GUESS)
    assert refused.level is HintLevel.PROBLEM
    assert refused.text.startswith("not known to this model: click on it.")
    assert guess.level is HintLevel.DOUBT
    assert guess.text.startswith("not known to this model; the result will be a guess.")


def test_guess_at_free_text_needs_a_language_model() -> None:
    without = PromptContext("CT", TRAINED, readsFreeText=False, guess=True)
    assert hint("grey spot", without).text == "not in the vocabulary; for free text, see Setup."
    assert hint("pancreas", without).level is HintLevel.DOUBT, "the vectors of the vocabulary come with the model"


@pytest.mark.parametrize("context", [CT, GUESS])
def test_typing_error_gets_a_suggestion(context: PromptContext) -> None:
    assert "“left kidney”" in hint("lefft kidny", context).text


def test_other_modality_is_doubtful() -> None:
    assert hint("peritumoral edema").text == "usually seen on MR, this volume is CT."
    mr = PromptContext("MR", TRAINED)
    assert hint("peritumoral edema", mr).level is hint("liver", mr).level is HintLevel.GOOD


HEART_IN_MR = replace(CT, onlyIn={"MR": ("heart",)})


@pytest.mark.parametrize(
    ("context", "line"),
    [
        (HEART_IN_MR, "! heart: learned in MR only, this volume is CT: click on it."),
        (replace(HEART_IN_MR, clicks=False), "! heart: learned in MR only, this volume is CT."),
        (replace(HEART_IN_MR, trained=()), "! heart: learned in MR only, this volume is CT: click on it."),
        (
            replace(HEART_IN_MR, guess=True),
            "? heart: learned in MR only, this volume is CT; the result will be a guess.",
        ),
        (replace(HEART_IN_MR, modality="MR", trained=(*TRAINED, "heart")), "✓ heart"),
        (CT, "! heart: not known to this model: click on it."),
    ],
    ids=["clicks", "no clicks", "nothing learned in this one", "guess", "in that modality", "in neither"],
)
def test_name_learned_in_the_other_modality_only_says_so(context: PromptContext, line: str) -> None:
    assert str(hint("heart", context)) == line


def test_model_that_learned_the_name_in_this_modality_is_named(body_model: Path) -> None:
    context = replace(CT, onlyIn={"MR": ("sternum",)}, models=(model_entry(body_model),))
    told = "! sternum: learned in MR only, this volume is CT: click on it. dsm-body has learned it:"
    assert str(hint("sternum", context)).startswith(told)


def test_model_of_unknown_training_gives_no_kinds() -> None:
    assert hint("pancreas", PromptContext("CT")).level is HintLevel.GOOD
    assert hint("grey spot", PromptContext("CT")).text == "free text, less reliable."


def test_text_for_two_gives_two_hints() -> None:
    assert [one.name for one in promptHints("kidneys", CT)] == ["left kidney", "right kidney"]


@pytest.mark.parametrize("text", ["", " \n "])
def test_nothing_typed_gives_no_hint(text: str) -> None:
    assert promptHints(text, CT) == []


def test_what_cannot_be_a_prompt_is_a_problem() -> None:
    assert hint("???").level is HintLevel.PROBLEM
    assert "no words" in hint("???").text


def test_another_model_that_has_learned_a_name_is_named(body_model: Path) -> None:
    context = replace(CT, models=(model_entry(body_model),))
    one = hint("breast bone", context)
    told = "sternum: not known to this model: click on it. dsm-body has learned it:"
    assert str(one) == f"! {told} choose it under Setup."
    assert one.html == f'! {told} <a href="dsm-body">choose it under Setup</a>.'
    assert hint("aneurysm", context).model == hint("liver", replace(context, trained=("liver",))).model == ""
    assert hint("sternum", replace(context, trained=())).model == "", "what the model has learned is not known"


def test_name_that_another_model_will_segment_is_good(body_model: Path) -> None:
    entry = model_entry(body_model)
    context = replace(CT, models=(entry,), others=(entry,), onlyIn={"MR": ("skull",)})
    assert str(hint("breast bone", context)) == "✓ sternum: learned by dsm-body."
    assert hint("skull", context).level is HintLevel.GOOD, "in this modality by that model"
    assert hint("liver", replace(context, trained=("liver",))) == PromptHint(HintLevel.GOOD, "liver")
    assert hint("aneurysm", context).level is HintLevel.PROBLEM


def test_html_shows_no_letter_as_markup() -> None:
    assert PromptHint(HintLevel.GOOD, "a<b", "c & d").html == "✓ a&lt;b: c &amp; d"
