"""Hints about each prompt while it is typed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from dsm.core.prompt import Prompt
from dsm.core.structure import Structure
from dsm.errors import PromptError
from dsm.text.prompt import parse_prompts
from DSMSegmentLib.application import tr as _


class HintLevel(Enum):
    """Reliability of a prompt, with the mark that the panel shows."""

    GOOD = "\N{CHECK MARK}"
    DOUBT = "?"
    PROBLEM = "!"


@dataclass(frozen=True, slots=True)
class PromptHint:
    """One line below the prompts.

    Args:
        level: How much the prompt can be trusted.
        name: As it was understood.
        text: Why it may fail and what to do; empty for good prompts.
    """

    level: HintLevel
    name: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.level.value} {self.name}: {self.text}" if self.text else f"{self.level.value} {self.name}"


def promptHints(
    text: str, *, modality: str = "", trained: Collection[str] = (), readsFreeText: bool = True
) -> list[PromptHint]:
    """Return a hint for each prompt.

    Args:
        text: Prompts as they were typed.
        modality: `"CT"` or `"MR"`, of the volume; empty where unknown.
        trained: Names that the model was trained on; empty where unknown.
        readsFreeText: Whether there is a language model for what is not in the vocabulary.
    """
    if not text.strip():
        return []
    try:
        prompts = parse_prompts(text)
    except PromptError as error:
        return [PromptHint(HintLevel.PROBLEM, _("Prompts"), error.one_line)]
    return [_hint(prompt, modality, trained, readsFreeText) for prompt in prompts]


def _hint(prompt: Prompt, modality: str, trained: Collection[str], readsFreeText: bool) -> PromptHint:
    structure = prompt.structure
    if structure is None:
        level, text = HintLevel.DOUBT, _("free text, less reliable.")
        if not readsFreeText:
            level, text = HintLevel.PROBLEM, _("not in the vocabulary; for free text, see Setup.")
        if prompt.suggestions:
            text += " " + _("Did you mean \N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}?").format(
                name=prompt.suggestions[0]
            )
        return PromptHint(level, prompt.name, text)
    if _isUnusual(structure, modality):
        text = _("usually seen on {usual}, this volume is {modality}.").format(
            usual=structure.modalities[0], modality=modality
        )
        return PromptHint(HintLevel.DOUBT, prompt.name, text)
    if trained and structure.name not in trained:
        return PromptHint(HintLevel.DOUBT, prompt.name, _("known, but this model was not trained on it."))
    if prompt.warnings:
        return PromptHint(HintLevel.DOUBT, prompt.name, prompt.warnings[0])
    return PromptHint(HintLevel.GOOD, prompt.name)


def _isUnusual(structure: Structure, modality: str) -> bool:
    """Return whether a structure is unusual for the modality.

    The usual modality comes first in the vocabulary. CT stands first for almost all structures, which MR shows as well;
    what has MR first is hard to see on CT.
    """
    return bool(modality and structure.modalities) and (
        modality not in structure.modalities or (modality == "CT" and structure.modalities[0] == "MR")
    )
