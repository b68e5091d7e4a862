"""Parsing of prompts."""

from dataclasses import replace

import pytest

from dsm.core.prompt import Prompt
from dsm.errors import PromptError
from dsm.text.prompt import parse_prompts


def names(text: str) -> list[str]:
    return [prompt.name for prompt in parse_prompts(text)]


def only(text: str) -> Prompt:
    (prompt,) = parse_prompts(text)
    return prompt


def test_semicolon_and_new_line_separate_and_repeats_are_dropped() -> None:
    assert names("liver; Spleen\nthe liver;;\r\n HCC ;") == ["liver", "spleen", "liver tumor"]


def test_sequence_of_prompts_is_accepted() -> None:
    assert [prompt.name for prompt in parse_prompts(["liver; spleen", "aorta"])] == ["liver", "spleen", "aorta"]


@pytest.mark.parametrize("text", ["kidneys", "both kidneys", "bilateral kidney", "left and right kidney"])
def test_bilateral_phrase_gives_two_prompts(text: str) -> None:
    prompts = parse_prompts(text)
    assert [prompt.name for prompt in prompts] == ["left kidney", "right kidney"]
    assert all(prompt.warnings == () for prompt in prompts)


def test_paired_organ_without_a_side_gives_two_prompts_with_a_warning() -> None:
    left, right = parse_prompts("kidney")
    assert (left.name, right.name) == ("left kidney", "right kidney")
    assert "names no side" in left.warnings[0]


@pytest.mark.parametrize("text", ["lt kidney", "kidney, left", "L kidney", "Left Kidney", "kidney (L)", "kidney_left"])
def test_sides_in_any_spelling(text: str) -> None:
    assert only(text).name == "left kidney"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mass of the pancreas", "pancreatic tumor"),
        ("hepatic tumour", "liver tumor"),
        ("renal neoplasms", "kidney tumor"),
        ("lung lesion", "lung tumor"),
        ("cancer of the colon", "colon tumor"),
        ("gastric carcinoma", "stomach tumor"),
        ("mets in the liver", "liver metastasis"),
        ("HCC", "liver tumor"),
        ("clear cell RCC", "kidney tumor"),
        ("metastasis of a lung cancer in the liver", "liver metastasis"),
        ("splenic metastasis", "spleen tumor"),
        ("left renal cyst", "left kidney cyst"),
        ("renal cyst", "kidney cyst"),
        ("nodule right lung", "right lung tumor"),
        ("mass, lung", "lung tumor"),
        ("lymphoma", "lymphoma"),
        ("tumor", "tumor"),
    ],
)
def test_lesion_and_organ_words(text: str, name: str) -> None:
    prompt = only(text)
    assert (prompt.name, prompt.kind) == (name, "tumor")
    assert prompt.structure is not None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("aortic arch", "aorta"),
        ("head of the pancreas", "pancreas"),
        ("left lobe of the liver", "liver"),
        ("portal vein", "portal vein and splenic vein"),
        ("left renal cortex", "left kidney"),
    ],
)
def test_part_of_a_structure_is_not_read_as_the_whole(text: str, whole: str) -> None:
    prompt = only(text)
    assert prompt.structure is None
    assert prompt.suggestions[0] == whole
    assert "is a part of" in prompt.warnings[0]


@pytest.mark.parametrize(
    ("text", "name"), [("left liver", "liver"), ("both pancreas", "pancreas"), ("right ascites", "ascites")]
)
def test_side_of_an_unpaired_structure_is_not_dropped(text: str, name: str) -> None:
    prompt = only(text)
    assert prompt.structure is None
    assert prompt.suggestions == (name,)
    assert "names a side" in prompt.warnings[0]


@pytest.mark.parametrize(
    ("text", "name", "host"),
    [
        ("right adrenal mass", "right adrenal tumor", "right adrenal gland"),
        ("tumor in the left kidney", "left kidney tumor", "left kidney"),
        ("left kidney tumor", "left kidney tumor", "left kidney"),
    ],
)
def test_side_of_a_lesion_is_the_side_of_its_organ(text: str, name: str, host: str) -> None:
    prompt = only(text)
    assert prompt.name == name
    assert prompt.structure is not None
    assert (prompt.structure.hosts, prompt.structure.laterality) == ((host,), host.split(maxsplit=1)[0])
    assert host.split(maxsplit=1)[0].capitalize() in prompt.structure.terminology.to_tag()
    assert only(prompt.canonical_text) == replace(prompt, text=prompt.name)


def test_bilateral_lesion_is_the_lesion_without_a_side() -> None:
    assert only("bilateral renal tumors").name == "kidney tumor"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("liver, spleen and pancreas", ["liver", "spleen", "pancreas"]),
        ("liver tumor, spleen", ["liver tumor", "spleen"]),
        ("liver/spleen", ["liver", "spleen"]),
        ("portal and splenic veins", ["portal vein and splenic vein"]),
    ],
)
def test_lists_of_known_names_are_split(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_two_lesions_in_one_phrase_give_a_warning() -> None:
    prompt = only("mass and tumor of the kidney")
    assert prompt.structure is None
    assert "';' between two" in prompt.warnings[0]


def test_unknown_words_are_free_text_with_a_warning() -> None:
    prompt = only("the Mesenteric root")
    assert prompt == Prompt(
        "the Mesenteric root", "mesenteric root", "organ", None, prompt.warnings, prompt.suggestions
    )
    assert "not in the vocabulary" in prompt.warnings[0]


def test_a_typo_is_free_text_with_a_suggestion() -> None:
    prompt = only("pancrease")
    assert prompt.structure is None
    assert prompt.suggestions[0] == "pancreas"
    assert "Did you mean 'pancreas'?" in prompt.warnings[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mesenteric mass", "tumor"),
        ("chordoma", "tumor"),
        ("hepatic hematoma", "tumor"),
        ("kidney stone", "tumor"),
        ("ivc filter", "organ"),
        ("stroma", "organ"),
    ],
)
def test_lesion_words_determine_the_kind_of_free_text(text: str, kind: str) -> None:
    prompt = only(text)
    assert (prompt.structure, prompt.kind) == (None, kind)


@pytest.mark.parametrize("text", ["mass near the kidney", "lesion behind the liver"])
def test_spatial_relations_are_not_guessed(text: str) -> None:
    prompt = only(text)
    assert prompt.structure is None
    assert "not understood" in prompt.warnings[1]


@pytest.mark.parametrize(
    "text", ["no liver tumor", "liver; no tumor", "right kidney only, not left", "liver lesion without necrosis"]
)
def test_a_negation_is_refused_and_never_dropped(text: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_prompts(text)
    assert caught.value.code == "prompt.negation"
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "  ;\n ;", "!!!", "liver; …", [], ["", " "]])
def test_empty_prompt_is_refused(text: str | list[str]) -> None:
    with pytest.raises(PromptError) as caught:
        parse_prompts(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "liver " * 1700,
        "liver;" * 1700,
        "臓" * 2000,
        ["liver"] * 1000,
        "; ".join(f"thing {n}" for n in range(300)),
        "a " * 200,
    ],
)
def test_too_long_prompt_is_refused(text: str | list[str]) -> None:
    with pytest.raises(PromptError) as caught:
        parse_prompts(text)
    assert caught.value.code == "prompt"
    assert caught.value.hint
