"""German, French and Spanish names, as English ones: reader of `foreign_names.tsv`. Standard library only.

A line has an English name that the vocabulary reads and its names in the three languages: `;` is between names, `|`
between spellings of one (plurals that `normalise` does not undo), and `#` stands for a number ("#. Rippe" is "rib #").
Names of paired structures are without a side. Accents, hyphens and case do not matter, "ae" is "ä", and what reads the
same in English or Latin is not repeated. What is not here is an unknown name, which gets no mask.

The table is written for this program. How it was checked: `docs/reference/problems.md`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from dsm.text.words import Side, drop_fillers, normalise, split_side

#: Languages of the columns.
LANGUAGES = ("German", "French", "Spanish")

_Key = tuple[Side | None, tuple[str, ...]]

# Words between the others that name nothing; "o" is left of "3.º".
_FILLERS = frozenset(
    {"der", "die", "das", "des", "dem", "den", "und"}
    | {"le", "la", "les", "du", "de", "des", "un", "une", "et"}
    | {"el", "los", "las", "del", "de", "al", "una", "y", "e", "o"}
    | {"nur", "seulement", "uniquement", "solo", "solamente", "soltanto"}
)
# Without their endings; "second" is English, too.
_ORDINALS = (
    ("erst", "premi", "primer"),
    ("zweit", "deuxiem", "segund"),
    ("dritt", "troisiem", "tercer"),
    ("viert", "quatriem", "cuart"),
    ("funft", "cinquiem", "quint"),
    ("sechst", "sixiem", "sext"),
    ("siebt", "septiem", "septim"),
    ("acht", "huitiem", "octav"),
    ("neunt", "neuviem", "noven"),
    ("zehnt", "dixiem", "decim"),
    ("elft", "onziem", "undecim"),
    ("zwolft", "douziem", "duodecim"),
)
_NUMBERS = {
    stem + ending: str(number)
    for number, stems in enumerate(_ORDINALS, start=1)
    for stem in stems
    for ending in ("", "e", "en", "em", "er", "ere", "o", "a")
} | {"iii": "3", "iv": "4"}
_NUMBERED = re.compile(r"^(\d+)(?:er|ere|re|e|eme|ieme|a|o|ra|ro|da|do|ta|to|ma|mo|va|vo|na|no|te|ter|ten)$")
_DIGITS = re.compile(r"\d+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@cache
def foreign_table() -> dict[str, tuple[tuple[tuple[str, ...], ...], ...]]:
    """Return the table: English name -> for each of `LANGUAGES` the names, each with its spellings."""
    lines = Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {
        name: tuple(
            tuple(tuple(one.strip().split("|")) for one in column.split(";") if one.strip()) for column in columns
        )
        for name, *columns in (line.split("\t") for line in lines)
    }


def in_english(text: str) -> list[str]:
    """Return the English names for a text in German, French or Spanish.

    Returns:
        No name, one ("linke Niere": "left kidney"), or that of the left and that of the right ("Vorhof": "left atrium",
        "right atrium").
    """
    for reading in (text, text.replace("-", "")):
        side, words = _key(reading)
        number = _DIGITS.search(" ".join(words))
        templates = (words, _template(words)) if number else (words,)
        for known in templates:
            if names := _sided(side, known):
                return [name.replace("#", number.group() if number else "") for name in names]
    return []


def _sided(side: Side | None, words: tuple[str, ...]) -> list[str]:
    index = _index()
    if (side, words) in index:
        return [index[side, words]]
    if (None, words) in index:
        return [f"{side} {index[None, words]}"]
    if side in (None, "both"):
        return [index[one, words] for one in ("left", "right") if (one, words) in index]
    return []


@cache
def _index() -> dict[_Key, str]:
    index: dict[_Key, str] = {}
    for name, columns in foreign_table().items():
        for spelling in (one for column in columns for names in column for one in names):
            for text in {spelling, spelling.replace("-", ""), spelling.translate(_UMLAUTS)}:
                side, words = _key(text.replace("#", "0"))
                index[side, _template(words) if "#" in text else words] = name
    return index


def _template(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(_DIGITS.sub("#", word) for word in words))


def _key(text: str) -> _Key:
    words = [_number(word) for word in normalise(text).split() if word not in _FILLERS]
    side, rest = split_side(words)
    return side, tuple(sorted(drop_fillers(rest)))


def _number(word: str) -> str:
    if numbered := _NUMBERED.match(word):
        return numbered.group(1)
    return _NUMBERS.get(word, word)
