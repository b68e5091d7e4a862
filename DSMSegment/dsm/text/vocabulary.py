"""All names that DSM knows, read from `vocabulary.json`. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path

from dsm.core.structure import Code, Structure, Terminology
from dsm.errors import ConfigError
from dsm.text.foreign_names import ARTICLES, FOREIGN_NAMES
from dsm.text.lesion_index import LesionIndex
from dsm.text.vocabulary_file import read_structures
from dsm.text.words import Side, key, normalise, split_side

__all__ = ["Code", "Structure", "Terminology", "Vocabulary", "load_vocabulary"]

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
        """Return the structures that `text` names in any spelling: none, one, or a left and a right one."""
        names = self._lookup(*_key(text)) or self._foreign_lookup(text)
        return [self._by_name[name] for name in names]

    def is_part(self, text: str) -> bool:
        """Return whether `text` names a part of a structure rather than the whole."""
        side, words = _key(text)
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
        """Return structures with `word` in their name, synonyms or parts; all of them for an empty word."""
        wanted = normalise(word)
        return [
            structure
            for structure in self.structures
            if any(wanted in normalise(text) for text in (structure.name, *structure.synonyms, *structure.parts))
        ]

    def complete(self, prefix: str, limit: int = 20) -> list[str]:
        """Return canonical names that complete a prompt: prefix matches first, then those with such a word."""
        wanted = " ".join(prefix.casefold().split())
        if not wanted:
            return [structure.name for structure in self.structures][:limit]
        begins = [structure.name for structure in self.structures if structure.name.startswith(wanted)]
        has_word = [
            structure.name
            for structure in self.structures
            if any(f" {wanted}" in f" {text.casefold()}" for text in (structure.name, *structure.synonyms))
        ]
        return list(dict.fromkeys(begins + has_word))[:limit]

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

    def _foreign_lookup(self, text: str) -> list[str]:
        """Return names for German, French or Spanish words: whole ("linker Vorhof"), or of one side or both."""
        words = [word for word in normalise(text).split() if word not in ARTICLES]
        whole = self._foreign_names.get(tuple(sorted(words)))
        if whole in self._by_name:
            return [whole]
        side, rest = split_side(words)
        name = self._foreign_names.get(tuple(sorted(rest)))
        if name is None:
            return []
        names = self._lookup(side, key(name.split()))
        return [found for found in names if found in (name, f"left {name}", f"right {name}")]

    @cached_property
    def _foreign_names(self) -> dict[tuple[str, ...], str]:
        return {
            tuple(sorted(word for word in normalise(text).split() if word not in ARTICLES)): name
            for name, texts in FOREIGN_NAMES.items()
            for text in texts
        }

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
