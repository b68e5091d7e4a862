"""Parsing of typed text into prompts. Standard library only; never fails on an unknown word.

Grammar: prompts are separated by `;` or new lines. Each is looked up in the vocabulary in any spelling; if that fails
and it is a list of known things ("liver, spleen and pancreas") it is split; if that fails and a lesion word is in it,
lesion and organ decide together. What is left is free text, of which a model knows nothing. No word is dropped: the
part of a structure, a side that it does not have, or a word that restricts a lesion ("largest") makes a prompt free
text, too, with the whole as a suggestion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from dsm.core.prompt import Prompt
from dsm.core.structure import Kind, Structure
from dsm.errors import PromptError
from dsm.text.vocabulary import Vocabulary, load_vocabulary
from dsm.text.words import Side, drop_fillers, negation, normalise, split_side

MAX_BYTES = 4096
MAX_PROMPTS = 200
MAX_PROMPT_CHARACTERS = 300

_SEPARATORS = re.compile(r"[;\r\n]+")
_LIST_SEPARATORS = re.compile(r"\s*(?:[,&+/]|\b(?:and|und|et|y|e)\b)\s*")
_PARENTHESES = re.compile(r"\(([^()]*)\)")
# Where something is in relation to an organ is beyond the model: see `_unknown`.
_JOINS = re.compile(r"[&+/]|\b(?:and|or)\b", re.IGNORECASE)
_RELATIONS = frozenset(
    [
        "near",
        "next",
        "adjacent",
        "beside",
        "behind",
        "between",
        "around",
        "outside",
        "surrounding",
        "abutting",
        "above",
        "below",
        "posterior",
        "anterior",
        "superior",
        "inferior",
        "lateral",
        "medial",
        "versus",
    ]
)


def split_prompts(text: str) -> list[str]:
    """Split text into prompts, stripped of surrounding space, at `;` and new lines."""
    return [piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()]


def parse_prompts(text: str | Sequence[str]) -> list[Prompt]:
    """Parse prompts.

    Args:
        text: Prompts with `;` or new lines between, or a sequence of such texts.

    Returns:
        Prompts in the order typed, each name once; "kidneys" gives two.

    Raises:
        PromptError: If there is no prompt, one has no words or a negation, or they are too many (4 kB, 200 prompts) or
            too long.
    """
    lines = [text] if isinstance(text, str) else list(text)
    if sum(len(line.encode("utf-8", "replace")) for line in lines) > MAX_BYTES:
        msg = f"The prompts are longer than {MAX_BYTES} bytes."
        raise PromptError(msg, hint="Name structures, e.g. 'liver; left kidney', and leave out the report.")
    pieces = [piece for line in lines for piece in split_prompts(line)]
    if not pieces:
        msg = "There is no prompt."
        raise PromptError(msg, code="prompt.empty", hint="Name what to segment, e.g. 'liver; left kidney'.")
    vocabulary = load_vocabulary()
    prompts: dict[str, Prompt] = {}
    for piece in pieces:
        for prompt in _parse_one(piece, vocabulary):
            prompts.setdefault(prompt.name, prompt)
    if len(prompts) > MAX_PROMPTS:
        msg = f"There are {len(prompts)} prompts; {MAX_PROMPTS} is the most."
        raise PromptError(msg, hint="Segment in several runs.")
    return list(prompts.values())


def _parse_one(text: str, vocabulary: Vocabulary) -> list[Prompt]:
    if len(text) > MAX_PROMPT_CHARACTERS:
        msg = f"The prompt '{text[:40]}…' is longer than {MAX_PROMPT_CHARACTERS} characters."
        raise PromptError(msg, hint="Put ';' between the things to segment.")
    if not normalise(text):
        msg = f"The prompt '{text}' has no words."
        raise PromptError(msg, code="prompt.empty", hint="Name what to segment, e.g. 'liver'.")
    if word := negation(text):
        msg = f"The prompt '{text}' says what is not wanted ('{word}'), which is not understood."
        raise PromptError(msg, code="prompt.negation", hint="Name only what to segment, e.g. 'right kidney'.")
    if prompts := _read(text, text, vocabulary):
        return prompts
    return _named_twice(text, vocabulary) or [_unknown(text, vocabulary)]


def _read(text: str, reading: str, vocabulary: Vocabulary) -> list[Prompt]:
    for read in (_named, _listed, _described):
        if prompts := read(text, reading, vocabulary):
            return prompts
    return []


def _named_twice(text: str, vocabulary: Vocabulary) -> list[Prompt]:
    """One structure before parentheses and in them: "atlas (C1)"."""
    inside = [piece for piece in _PARENTHESES.findall(text) if normalise(piece)]
    if not inside:
        return []
    outside, *others = [_read(text, piece, vocabulary) for piece in (_PARENTHESES.sub(" ", text), *inside)]
    names = {prompt.name for prompt in outside}
    return outside if all({prompt.name for prompt in prompts} == names for prompts in others) else []


def _named(text: str, reading: str, vocabulary: Vocabulary) -> list[Prompt]:
    """A name or synonym of one structure, or of a left and a right one."""
    structures = vocabulary.find_all(reading)
    side, _ = split_side(normalise(reading).split())
    if structures and vocabulary.is_part(reading):
        return [_unknown(text, vocabulary, part_of=structures)]
    warnings = []
    if side is None and len(structures) > 1 and not _is_plural(reading):
        warnings.append(f"'{text}' names no side: left and right will be segmented.")
    return [_prompt(text, structure, side, warnings, vocabulary) for structure in structures]


def _listed(_text: str, reading: str, vocabulary: Vocabulary) -> list[Prompt]:
    """Several names in one line. "Mass, lung" is not a list: a lesion without a place belongs to its neighbour."""
    parts = [part for part in _LIST_SEPARATORS.split(reading.casefold()) if normalise(part)]
    if len(parts) < 2:
        return []
    read = [_named(part, part, vocabulary) or _described(part, part, vocabulary) for part in parts]
    if any(not prompts or _is_generic(prompts[0], vocabulary) for prompts in read):
        return []
    return [prompt for prompts in read for prompt in prompts]


def _described(text: str, reading: str, vocabulary: Vocabulary) -> list[Prompt]:
    """A lesion word and an organ word, in any order and among other words."""
    words = normalise(reading).split()
    side, rest = split_side(words)
    lesion = None if _RELATIONS.intersection(words) else vocabulary.lesions.find(rest, side)
    if lesion is None:
        return []
    more = vocabulary.lesions.unexplained(rest, lesion)
    prompt = _prompt(text, lesion, side, [], vocabulary)
    if prompt.structure and (more or (_JOINS.search(reading) and not {"and", "or"}.intersection(lesion.name.split()))):
        return [_unknown(text, vocabulary, more_than=prompt.name, more=more)]
    return [prompt]


def _prompt(text: str, structure: Structure, side: Side | None, warnings: list[str], vocabulary: Vocabulary) -> Prompt:
    if side and structure.laterality is None:
        one_sided = _on_side(structure, side, vocabulary)
        if one_sided is None:
            return _unknown(text, vocabulary, without_sides=structure)
        structure = one_sided
    return Prompt(text, structure.name, structure.kind, structure, tuple(warnings))


def _on_side(lesion: Structure, side: Side, vocabulary: Vocabulary) -> Structure | None:
    """Return a lesion of paired organs on one side, or on both as it is; None for what has no sides."""
    paired = [host for host in map(vocabulary.get, lesion.hosts) if host and host.laterality]
    hosts = [host for host in paired if side in (host.laterality, "both")]
    if not hosts or side == "both":
        return lesion if hosts else None
    side_code = hosts[0].terminology.modifier or hosts[0].terminology.region_modifier
    return replace(
        lesion,
        name=f"{side} {lesion.name}",
        hosts=tuple(host.name for host in hosts),
        laterality=side,
        terminology=replace(lesion.terminology, region_modifier=side_code if lesion.terminology.region else None),
    )


def _is_generic(prompt: Prompt, vocabulary: Vocabulary) -> bool:
    return prompt.structure is not None and vocabulary.lesions.is_generic(prompt.structure)


def _is_plural(reading: str) -> bool:
    last = reading.casefold().split()[-1]
    return last.endswith("s") and last != normalise(last)


def _unknown(
    text: str,
    vocabulary: Vocabulary,
    *,
    part_of: Sequence[Structure] = (),
    without_sides: Structure | None = None,
    more_than: str = "",
    more: Sequence[str] = (),
) -> Prompt:
    """Free text: of words, of a part of structures, of a side that a structure has not, or of `more` than a lesion."""
    words = normalise(text).split()
    whole = [structure.name for structure in part_of]
    whole += [without_sides.name] if without_sides else [more_than] if more_than else []
    suggestions = tuple(whole or vocabulary.suggest(text))
    if part_of:
        warnings = [f"'{text}' is a part of '{whole[0]}', which has no name of its own in the vocabulary."]
    elif without_sides:
        warnings = [f"'{text}' names a side, and '{whole[0]}' has no left and right in the vocabulary."]
    elif more_than:
        what = "put ';' between two" if {"and", "or"}.issuperset(more) else f"{' '.join(more)!r} is not understood"
        warnings = [f"'{text}' says more than '{more_than}': {what}."]
    else:
        warnings = [f"'{text}' is not in the vocabulary."]
        if suggestions:
            warnings[0] += f" Did you mean '{suggestions[0]}'?"
    if relations := _RELATIONS.intersection(words):
        warnings.append(f"'{sorted(relations)[0]}' is not understood: DSM knows things, not where they are.")
    kind: Kind = "tumor" if vocabulary.lesions.is_lesion(words) else "organ"
    return Prompt(text, " ".join(drop_fillers(words) or words), kind, None, tuple(warnings), suggestions)
