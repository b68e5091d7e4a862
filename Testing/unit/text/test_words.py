"""Normalisation of spelling, sides and negations."""

import pytest

from dsm.text.vocabulary import load_vocabulary
from dsm.text.words import key, negation, normalise, split_side


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("  Oesophageal   TUMOURS ", "esophageal tumor"),
        ("coeliac-trunk", "celiac trunk"),
        ("Hæmatoma; oedema".replace("æ", "ae"), "hematoma edema"),
        ("metastases", "metastasis"),
        ("the patient's spleen", "the patient spleen"),
        ("vertebrae", "vertebra"),
        ("ovaries and masses", "ovary and mass"),
        ("pancreas psoas biceps ascites pelvis uterus abscess", "pancreas psoas biceps ascites pelvis uterus abscess"),
        ("kidney_right", "kidney right"),
        ("5th rib", "5 rib"),
        ("first lumbar vertebra", "1 lumbar vertebra"),
        ("C-spine", "cspine"),
        ("LNs", "ln"),
        ("Tumör", "tumor"),
        ("lymphomata, gliomas", "lymphoma glioma"),
        ("\x00;…", ""),
    ],
)
def test_spellings_are_normalised(typed: str, words: str) -> None:
    assert normalise(typed) == words


def test_normalising_is_idempotent() -> None:
    for text in ("Oesophageal tumours", "both Kidneys", "metastases", "3rd ribs", "C-spine"):
        assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("words", "side", "rest"),
    [
        ("lt kidney", "left", ["kidney"]),
        ("kidney r", "right", ["kidney"]),
        ("both kidney", "both", ["kidney"]),
        ("left and right kidney", "both", ["kidney"]),
        ("kidney", None, ["kidney"]),
        ("left", None, ["left"]),
    ],
)
def test_side_is_split_off(words: str, side: str | None, rest: list[str]) -> None:
    assert split_side(words.split()) == (side, rest)


def test_key_ignores_order_and_fillers() -> None:
    assert key(["cyst", "of", "the", "kidney"]) == key(["kidney", "cyst"])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no liver tumor", "no"),
        ("No tumor", "No"),
        ("right kidney only, not left", "not"),
        ("liver without tumor", "without"),
        ("all except the spleen", "except"),
        ("keine Niere", "keine"),
        ("foie sans tumeur", "sans"),
        ("ningún tumor", "ningún"),
    ],
)
def test_negations_are_detected(text: str, word: str) -> None:
    assert negation(text) == word


@pytest.mark.parametrize("text", ["lymph node no. 7", "no 7", "nodule", "sinus", "non-enhancing tumor", "normal liver"])
def test_similar_words_are_not_negations(text: str) -> None:
    assert negation(text) == ""


def test_vocabulary_names_are_not_negations() -> None:
    for structure in load_vocabulary().structures:
        for name in (structure.name, *structure.synonyms, *structure.parts):
            assert negation(name) == "", name
