"""All names that DSM knows, read from `vocabulary.json`. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path

from dsm.core.structure import Code, Structure, Terminology
from dsm.errors import ConfigError
from dsm.text.foreign_names import foreign_table, in_english
from dsm.text.lesion_index import LesionIndex
from dsm.text.vocabulary_file import read_structures
from dsm.text.words import Side, has_foreign_side, key, normalise, split_side, without_accents

__all__ = ["Code", "Structure", "Terminology", "Vocabulary", "load_vocabulary"]

# Thoracic vertebrae and ribs.
_MOST_NUMBERED = 12
_Key = tuple[Side | None, tuple[str, ...]]


class Vocabulary:
    """Structures, searchable by any spelling.

    Args:
        structures: All structures; names are unique.
        lesions: What a lesion word and an organ word mean together.
    """

    def __init__(self, structures: Sequence[Structure], lesions: LesionIndex) -> None:
        self.structures = tuple(structures)
        self.lesions = lesions
        self._by_name = {structure.name: structure for structure in self.structures}

    def get(self, name: str) -> Structure | None:
        """Return the structure with exactly this canonical name."""
        return self._by_name.get(name)

    def check_regions(self, regions: Collection[str]) -> None:
        """Check names of body regions.

        Raises:
            ConfigError: If no structure belongs to one of them.
        """
        known = {structure.body_region for structure in self.structures}
        if unknown := set(regions) - known:
            raise ConfigError(f"No region {min(unknown)!r}.", hint=f"There are: {', '.join(sorted(known))}.")

    def find(self, text: str) -> Structure | None:
        """Return the one structure that `text` names in any spelling; None if there is none, or two ("kidneys")."""
        found = self.find_all(text)
        return found[0] if len(found) == 1 else None

    def find_all(self, text: str) -> list[Structure]:
        """Return the structures that `text` names in any spelling: none, one, or a left and a right one.

        English and Latin go before German, French and Spanish, except beside a side in one of these: "auricula
        sinistra" is the appendage of the left atrium, "aurícula izquierda" the atrium.
        """
        return [structure for english in self._english(text) for structure in self.find_english(english)]

    def find_english(self, text: str) -> list[Structure]:
        """Return the structures that `text` names in English or Latin."""
        return [self._by_name[name] for name in self._lookup(*_key(text))]

    def reading(self, text: str) -> str:
        """Return the English name as which a German, French or Spanish one is read; empty if it is not one of these."""
        english = self._english(text)
        return "" if english == [text] else " and ".join(english)

    def is_part(self, text: str) -> bool:
        """Return whether `text` names a part of a structure rather than the whole."""
        return any(self._is_part(*_key(english)) for english in self._english(text))

    def _is_part(self, side: Side | None, words: tuple[str, ...]) -> bool:
        if (side, words) in self._whole_keys:
            return False
        return any((one, words) in self._part_keys for one in {side, None, "left", "right"} - {"both"})

    def suggest(self, text: str, n: int = 3) -> list[str]:
        """Return names similar to `text`, best first; empty if nothing is close."""
        words = normalise(text).split()
        repaired = " ".join(
            word if word in self._known_words else (get_close_matches(word, self._known_words, 1, 0.78) or [word])[0]
            for word in words
        )
        names = [structure.name for structure in self.find_all(repaired)]
        side, rest = split_side(repaired.split())
        if lesion := self.lesions.find(rest, side):
            names.append(lesion.name)
        names += [self._aliases[alias] for alias in get_close_matches(" ".join(words), self._aliases, n, 0.75)]
        return list(dict.fromkeys(names))[:n]

    def search(self, word: str) -> list[Structure]:
        """Return structures with `word` in a name, in any language, or in a part; all of them for an empty word."""
        wanted = normalise(word)
        return [
            structure
            for structure in self.structures
            if any(wanted in normalise(text) for text in (structure.name, *structure.synonyms, *structure.parts))
            or any(wanted in normalise(text) for text in self.foreign_names(structure))
        ]

    def complete(self, prefix: str, limit: int = 20) -> list[str]:
        """Return canonical names that complete a prompt.

        Names that begin with it are first, then those with such a word, then those whose German, French or Spanish
        name begins with it.
        """
        wanted = " ".join(prefix.casefold().split())
        if not wanted:
            return [structure.name for structure in self.structures][:limit]
        begins = [structure.name for structure in self.structures if structure.name.startswith(wanted)]
        has_word = [
            structure.name
            for structure in self.structures
            if any(f" {wanted}" in f" {text.casefold()}" for text in (structure.name, *structure.synonyms))
        ]
        plain = without_accents(wanted)
        foreign = [name for name, texts in self._plain_foreign_names if any(text.startswith(plain) for text in texts)]
        return list(dict.fromkeys(begins + has_word + foreign))[:limit]

    def foreign_names(self, structure: Structure) -> tuple[str, ...]:
        """Return the German, French and Spanish names of a structure, without sides."""
        return self._foreign_names.get(structure.name, ())

    def _lookup(self, side: Side | None, words: tuple[str, ...]) -> list[str]:
        """Names for a side and words: that side; else the unsided structure; else both sides."""
        if not words:
            return []
        for wanted in (side, None):
            name = self._index.get((wanted, words))
            if name and (side is None or self._by_name[name].laterality in (side, None)):
                return [name]
        if side in ("left", "right"):
            return []
        pair = [self._index.get((one, words)) for one in ("left", "right")]
        return [name for name in pair if name]

    def _english(self, text: str) -> list[str]:
        """English for a text in any language: the text itself, or none to two names."""
        if has_foreign_side(text):
            return in_english(text) or [text]
        return [text] if self._lookup(*_key(text)) else in_english(text)

    @cached_property
    def _foreign_names(self) -> dict[str, tuple[str, ...]]:
        names: dict[str, list[str]] = {}
        for name, columns in foreign_table().items():
            if self.is_part(name):
                continue
            spellings = [one for column in columns for forms in column for one in forms]
            for number in map(str, range(1, _MOST_NUMBERED + 1)) if "#" in name else [""]:
                for found in self._lookup(*_key(name.replace("#", number))):
                    names.setdefault(found, []).extend(one.replace("#", number) for one in spellings)
        return {name: tuple(texts) for name, texts in names.items()}

    @cached_property
    def _plain_foreign_names(self) -> list[tuple[str, tuple[str, ...]]]:
        named = [(structure.name, self.foreign_names(structure)) for structure in self.structures]
        return [(name, tuple(map(without_accents, texts))) for name, texts in named if texts]

    @cached_property
    def _index(self) -> dict[_Key, str]:
        # Names win over synonyms, synonyms over parts; a test holds that no two structures claim one key.
        index: dict[_Key, str] = {}
        for texts_of in (lambda s: (s.name,), lambda s: s.synonyms, lambda s: s.parts):
            for structure in self.structures:
                for text in texts_of(structure):
                    index.setdefault(_key(text), structure.name)
        return index

    @cached_property
    def _whole_keys(self) -> frozenset[_Key]:
        return frozenset(_key(text) for structure in self.structures for text in (structure.name, *structure.synonyms))

    @cached_property
    def _part_keys(self) -> frozenset[_Key]:
        return frozenset(_key(text) for structure in self.structures for text in structure.parts)

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """Normalised spelling of every name and synonym -> canonical name."""
        aliases: dict[str, str] = {}
        for structure in self.structures:
            for text in (structure.name, *structure.synonyms):
                aliases.setdefault(normalise(text), structure.name)
        return aliases

    @cached_property
    def _known_words(self) -> list[str]:
        words = {word for alias in self._aliases for word in alias.split() if len(word) > 3}
        return sorted(words | self.lesions.words)


def _key(text: str) -> _Key:
    side, rest = split_side(normalise(text).split())
    return side, key(rest)


@cache
def load_vocabulary() -> Vocabulary:
    """Return the vocabulary that ships with DSM."""
    path = Path(__file__).with_name("vocabulary.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    structures = read_structures(content)
    return Vocabulary(structures, LesionIndex(content, structures))
