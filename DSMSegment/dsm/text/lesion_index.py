"""Combination of a lesion word and an organ word: "mass" + "renal" is the kidney tumor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsm.core.structure import Structure
from dsm.text.words import Side, drop_fillers, key, normalise, split_side

_LONGEST = 5
# Words that restrict nothing: each of these lesions is meant.
_NEUTRAL = frozenset(
    {
        "suspected",
        "suspect",
        "possible",
        "probable",
        "likely",
        "known",
        "visible",
        "multiple",
        "several",
        "multifocal",
        "primary",
    }
)
# Words that end like a tumor and are none.
_NOT_TUMORS = frozenset(("stroma", "coma", "stoma", "soma"))

_Words = tuple[str, ...]


class LesionIndex:
    """Index of lesion words and the organ words that go with each lesion.

    A lesion entry lists its `hosts` (structures, all of whose names count) and further `host_words` ("renal"), and
    which class of lesion words (`lesion`: `"tumor"`, `"cyst"`, `"metastasis"` …) it answers to.

    Args:
        content: The parsed vocabulary file.
        structures: The structures read from it.
    """

    def __init__(self, content: dict[str, Any], structures: Sequence[Structure]) -> None:
        self._structures = {structure.name: structure for structure in structures}
        self._class_of = {
            normalise(word): lesion_class for lesion_class, words in content["lesion_words"].items() for word in words
        }
        self._classes = list(content["lesion_words"])
        self._by_host: dict[tuple[str, _Words], str] = {}
        self._of_organ: dict[_Words, str] = {}
        self._anywhere: dict[_Words, str] = {}
        self._explained: dict[str, set[str]] = {}
        self._host_words: set[str] = set()
        self._declared = {entry["name"]: entry["lesion"] for entry in content["structures"] if entry.get("lesion")}
        self._generic = {entry["name"] for entry in content["structures"] if entry.get("generic")}
        for entry in content["structures"]:
            if entry["kind"] == "tumor" and entry.get("side") is None:
                self._add(entry)
        self.words = frozenset(self._class_of) | {word for _, words in self._by_host for word in words if len(word) > 3}

    def is_lesion(self, words: Sequence[str]) -> bool:
        """Return whether normalised words describe an abnormality."""
        return self._class(words) is not None

    def class_of(self, structure: Structure) -> str:
        """Return the class of a lesion: `"tumor"`, `"cyst"`, `"metastasis"` …; empty if it is none."""
        if structure.kind != "tumor":
            return ""
        return self._declared.get(structure.name) or self._class(normalise(structure.name).split()) or ""

    def is_generic(self, structure: Structure) -> bool:
        """Return whether `structure` is a kind of lesion without a location: "tumor", "cyst"."""
        return structure.name in self._generic

    def find(self, words: Sequence[str], side: Side | None = None) -> Structure | None:
        """Return the lesion that normalised words describe; uninformative words are ignored.

        The name of a lesion of one organ ("clear cell RCC") goes first; then the organ nearest to the lesion word
        decides; then the name of a lesion that can be anywhere ("lymphoma"). A metastasis lies in the organ just
        before that word or named last ("of a lung cancer in the liver"); where there is no entry for it, it is that
        organ's tumor.
        """
        words = drop_fillers(list(words))
        hosted = self._hosted(words)
        named = None if hosted and self._class(words) == "metastasis" else _first(self._of_organ, words)
        name = named or hosted or _first(self._anywhere, words)
        if name is None:
            return None
        return self._structures.get(f"{side} {name}") or self._structures[name]

    def unexplained(self, words: Sequence[str], lesion: Structure) -> list[str]:
        """Return the words of a phrase that restrict a found lesion and are not understood: "segment", "largest".

        Explained are fillers, words of the lesion's names and of its organs', lesion words of its class, and where a
        metastasis comes from.

        Args:
            words: Normalised, without sides.
            lesion: What `find` returned for them.
        """
        lesion_class = self.class_of(lesion)
        known = self._explained[lesion.name.removeprefix("left ").removeprefix("right ")] | _NEUTRAL
        if self._class(words) == "metastasis":
            known |= self._host_words
        return [
            word
            for word in drop_fillers(list(words))
            if word not in known
            and self._class_of.get(word) not in (lesion_class, "tumor", "metastasis")
            and not (word.endswith("oma") and word not in _NOT_TUMORS)
        ]

    def _add(self, entry: dict[str, Any]) -> None:
        name = entry["name"]
        self._explained[name] = set(_words(name, *entry["synonyms"], *entry.get("host_words", [])))
        hosts = [self._structures[host] for host in entry.get("hosts", [])]
        # A lobe restricts, and so does one of several organs: the tongue, a vertebra.
        wholes = [host for host in hosts if not any(host.name.startswith(f"{other.name} ") for other in hosts)]
        if len({tuple(_words(host.name)) for host in wholes}) == 1:
            self._explained[name] |= {word for host in wholes for word in _words(host.name, *host.synonyms)}
        self._host_words |= self._explained[name]
        if name not in self._generic:
            names = self._of_organ if entry.get("hosts") else self._anywhere
            for text in (name, *entry["synonyms"]):
                names.setdefault(key(normalise(text).split()), name)
        if not (lesion_class := entry.get("lesion")):
            return
        host_texts = list(entry.get("host_words", []))
        for host in (self._structures[host] for host in entry.get("hosts", [])):
            host_texts += [host.name, *host.synonyms, *host.parts]
        for text in host_texts:
            _, words = split_side(normalise(text).split())
            self._by_host.setdefault((lesion_class, key(words)), name)

    def _class(self, words: Sequence[str]) -> str | None:
        present = {self._class_of[word] for word in words if word in self._class_of}
        if present:
            return next(lesion_class for lesion_class in self._classes if lesion_class in present)
        if any(word.endswith("oma") and word not in _NOT_TUMORS for word in words):
            return "tumor"
        return None

    def _hosted(self, words: list[str]) -> str | None:
        lesion_class = self._class(words)
        if lesion_class is None:
            return None
        at = next((i for i, word in enumerate(words) if self._class_of.get(word) == lesion_class), len(words))
        if lesion_class == "metastasis":  # "hepatic metastasis of …", else what is named last: "… to the brain"
            spans = sorted(_spans(len(words)), key=lambda span: (span[1] != at, -span[1], span[0]))
        else:
            spans = sorted(_spans(len(words)), key=lambda span: (_distance(span, at), span[0] - span[1], span[0]))
        for fallback in (lesion_class, "tumor" if lesion_class == "metastasis" else None):
            for start, stop in spans:
                if fallback and (name := self._by_host.get((fallback, tuple(sorted(words[start:stop]))))):
                    return name
        return None


def _words(*texts: str) -> list[str]:
    return [word for text in texts for word in split_side(normalise(text).split())[1]]


def _first(names: dict[_Words, str], words: list[str]) -> str | None:
    return next(
        (names[run] for run in (tuple(sorted(words[i:j])) for i, j in _spans(len(words))) if run in names), None
    )


def _spans(count: int) -> list[tuple[int, int]]:
    """All runs of up to five of `count` words, the longest first."""
    return [
        (start, start + length) for length in range(min(count, _LONGEST), 0, -1) for start in range(count - length + 1)
    ]


def _distance(span: tuple[int, int], at: int) -> int:
    start, stop = span
    return max(start - at, at - stop + 1, 0)
