"""Normalisation of clinical terms: case, accents, plural, British spelling, ordinals, sides."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Side = Literal["left", "right", "both"]

_SIDES: dict[str, Side] = {
    **dict.fromkeys(("left", "l", "lt", "lft", "sinister", "sinistra", "sinistrum"), "left"),
    **dict.fromkeys(("right", "r", "rt", "rgt", "dexter", "dextra", "dextrum"), "right"),
    **dict.fromkeys(("both", "bilateral"), "both"),
}
# German, French, Spanish, as `normalise` leaves them: without a plural's "s".
_FOREIGN_SIDES: dict[str, Side] = {
    **dict.fromkeys(("link", "linke", "linker", "linken", "linkem", "linksseitig", "linksseitige"), "left"),
    **dict.fromkeys(("gauche", "izquierdo", "izquierda", "izq", "izdo", "izda"), "left"),
    **dict.fromkeys(("recht", "rechte", "rechter", "rechten", "rechtem", "rechtsseitig", "rechtsseitige"), "right"),
    **dict.fromkeys(("droit", "droite", "derecho", "derecha", "dcho", "dcha"), "right"),
    **dict.fromkeys(("beide", "beider", "beiden", "beidseit", "beidseitig", "beidseitige"), "both"),
    **dict.fromkeys(("deux", "ambos", "amba"), "both"),
}
_SIDES.update(_FOREIGN_SIDES)

_FILLERS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "from",
        "within",
        "inside",
        "to",
        "for",
        "by",
        "my",
        "his",
        "her",
        "their",
        "patient",
        "please",
        "segment",
        "segmentation",
        "outline",
        "contour",
        "delineate",
        "mask",
        "highlight",
        "mark",
        "show",
        "find",
        "me",
        "get",
        "all",
        "any",
        "only",
        "just",
        "whole",
        "entire",
        "complete",
        "side",
        "sided",
        "number",
        "no",
        "region",
        "structure",
        "scan",
        "image",
        "ct",
        "mr",
        "mri",
    ]
)

# In the languages of the vocabulary's users; "no" before a number abbreviates "number".
_NEGATION = re.compile(
    r"\b(?:no(?![.\s]*\d)(?!\.)|not|without|w/o|except|excepting|excluding|exclude[sd]?|neither|nor|never|none|absent"
    r"|missing|minus|but|besides|ignor(?:e|ing)|omit(?:ting)?|other than|rather than|instead of"
    r"|kein(?:e[rnms]?)?|nicht|ohne|au(?:ß|ss)er|ausgenommen|weder"
    r"|pas (?:de|du|la|le|les)|pas d(?=['’])|sans|aucune?|sauf|excepté|hormis|hors|ni"
    r"|sin|ning[uú]n[ao]?|excepto|salvo|menos|tampoco"
    r"|senza|nessun[ao]?|eccetto|tranne|esclus[oaie]|né)(?![\w-])"
    r"|(?<=\s)[-–−](?=\s+(?:tum|lesion|cyst|mass|met))",  # "liver - tumor": a minus, or a dash
    re.IGNORECASE,
)

_BRITISH = (
    (re.compile(r"^o(?=esoph|edem|estr)"), ""),
    (re.compile(r"^coel"), "cel"),
    (re.compile(r"^caec"), "cec"),
    (re.compile(r"haem"), "hem"),
    (re.compile(r"aemi"), "emi"),
    (re.compile(r"tumour"), "tumor"),
    (re.compile(r"^grey$"), "gray"),
    (re.compile(r"^disk(s?)$"), r"disc\1"),
)

_ORDINALS = {
    word: str(number)
    for number, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        start=1,
    )
}
_NUMBERED = re.compile(r"^(\d+)(?:st|nd|rd|th)$")

_SHORT_FORMS = {
    "abdo": "abdominal",
    "adenoca": "adenocarcinoma",
    "asc": "ascending",
    "desc": "descending",
    "hep": "hepatic",
    "inf": "inferior",
    "mts": "metastasis",
    "panc": "pancreas",
    "pulm": "pulmonary",
    "sup": "superior",
    "vert": "vertebra",
}

_IRREGULAR_PLURALS = {
    "metastases": "metastasis",
    "thromboses": "thrombosis",
    "stenoses": "stenosis",
    "mets": "metastasis",
    "met": "metastasis",
    "nuclei": "nucleus",
    "bronchi": "bronchus",
    "thrombi": "thrombus",
    "emboli": "embolus",
    "testes": "testis",
    "teeth": "tooth",
    "femora": "femur",
    "nodi": "nodus",
}
_PLURAL_ENDINGS = (("omata", "oma", 5), ("ae", "a", 5), ("ies", "y", 5), ("sses", "ss", 4), ("xes", "x", 3))
_SINGULAR_ENDINGS = ("ss", "us", "is", "os", "ceps")
_SINGULAR = frozenset(["pancreas", "psoas", "iliopsoas", "gas", "atlas", "pons", "lens", "dens", "ascites", "diabetes"])
_SPINE = re.compile(r"\b([ctl])[\s-]spine\b")  # before the "L" of "L-spine" is read as a side
_ELISION = re.compile(r"\b[ld]['’](?=\w)")  # "l'estomac": no "L" for left
_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """Normalise words: `"Oesophageal  Tumours"` and `"esophageal tumor"` give the same result.

    Returns:
        Lower-case singular words with one space between; empty if there is no letter or digit.
    """
    plain = without_accents(text)
    plain = _SPINE.sub(r"\1spine", plain)
    plain = _ELISION.sub("", plain)
    plain = plain.replace("'s ", " ").replace("’s ", " ")
    return " ".join(_one_form(word) for word in _WORD.findall(plain))


def without_accents(text: str) -> str:
    """Return a text in lower case, with "œ" as "oe" and without accents."""
    if text.isascii():
        return text.lower()
    plain = "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(char))
    return plain.replace("œ", "oe").replace("æ", "ae")


def negation(text: str) -> str:
    """Return the negating word of a text, e.g. `"no"` in "no tumor"; empty if there is none."""
    found = _NEGATION.search(text)
    return found.group() if found else ""


def split_side(words: list[str]) -> tuple[Side | None, list[str]]:
    """Split "left", "Rt", "both" … off normalised words.

    Returns:
        The side (`"both"` if both are named) and the other words.
    """
    sides = {_SIDES[word] for word in words if word in _SIDES}
    rest = [word for word in words if word not in _SIDES]
    if not rest:
        return None, words
    if len(sides) > 1:
        return "both", [word for word in rest if word != "and"]
    return (sides.pop() if sides else None), rest


def has_foreign_side(text: str) -> bool:
    """Return whether a German, French or Spanish word for a side is in a text: then the rest is of that language."""
    return not _FOREIGN_SIDES.keys().isdisjoint(normalise(text).split())


def drop_fillers(words: list[str]) -> list[str]:
    """Return the words without articles, prepositions and polite phrases."""
    return [word for word in words if word not in _FILLERS]


def key(words: list[str]) -> tuple[str, ...]:
    """Return the words without fillers, sorted: "cyst of the kidney" and "kidney cyst" have one key."""
    return tuple(sorted(drop_fillers(words)))


@lru_cache(maxsize=8192)
def _one_form(word: str) -> str:
    for pattern, replacement in _BRITISH:
        word = pattern.sub(replacement, word)
    if word in _SHORT_FORMS:
        return _SHORT_FORMS[word]
    if word in _ORDINALS:
        return _ORDINALS[word]
    if numbered := _NUMBERED.match(word):
        return numbered.group(1)
    return _singular(word)


def _singular(word: str) -> str:
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if len(word) < 3 or word in _SINGULAR:
        return word
    for ending, replacement, shortest in _PLURAL_ENDINGS:
        if word.endswith(ending) and len(word) >= shortest:
            return word.removesuffix(ending) + replacement
    return word[:-1] if word.endswith("s") and not word.endswith(_SINGULAR_ENDINGS) else word
