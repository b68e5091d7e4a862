"""Hints about each prompt while it is typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from html import escape

from dsm.core.name_status import NameKind, NameStatus, ResultSource, names_of_other_modality
from dsm.core.prompt import Prompt
from dsm.core.structure import Structure
from dsm.errors import PromptError
from dsm.models.learned_elsewhere import model_that_learned
from dsm.models.store import ModelEntry
from dsm.text.name_status import name_status
from dsm.text.prompt import parse_prompts, split_prompts
from DSMSegmentLib.application import tr as _

_MAX_LINES = 8


class HintLevel(Enum):
    """Reliability of a prompt, with the mark that the panel shows."""

    GOOD = "\N{CHECK MARK}"
    DOUBT = "?"
    PROBLEM = "!"


@dataclass(frozen=True, slots=True)
class PromptContext:
    """Circumstances of a run that decide how its prompts are segmented.

    Args:
        modality: `"CT"` or `"MR"`, of the volume; empty where unknown.
        trained: Names that the model was trained on, in this modality; empty where unknown.
        readsFreeText: Whether there is a language model for text that is not in the vocabulary.
        guess: Whether the network may guess at names that it has not learned.
        clicks: Whether the model segments what is clicked.
        models: Models that could be chosen.
        others: Models that segment the names that they have learned and the chosen one has not.
        onlyIn: For `"CT"` and `"MR"`, the names that the model was trained on in that modality alone.
        draws: Whether a name without a result can be drawn.
    """

    modality: str = ""
    trained: tuple[str, ...] = ()
    readsFreeText: bool = True
    guess: bool = False
    clicks: bool = True
    models: tuple[ModelEntry, ...] = ()
    others: tuple[ModelEntry, ...] = ()
    onlyIn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    draws: bool = False

    @property
    def isModelKnown(self) -> bool:
        """True if it is known which names the model has learned."""
        return bool(self.trained or self.onlyIn)


@dataclass(frozen=True, slots=True)
class PromptHint:
    """One line below the prompts.

    Args:
        level: How much the prompt can be trusted.
        name: As it was understood.
        text: Why it may fail and what to do; empty for good prompts.
        model: Another model, which has learned the name; empty if there is none.
    """

    level: HintLevel
    name: str
    text: str = ""
    model: str = ""

    def __str__(self) -> str:
        return self._line(str, "", "")

    @property
    def html(self) -> str:
        """The line as HTML, with a link to the other model."""
        return self._line(partial(escape, quote=False), f'<a href="{escape(self.model)}">', "</a>")

    def _line(self, written: Callable[[str], str], linkStart: str, linkEnd: str) -> str:
        said = [written(self.text)] if self.text else []
        if self.model:
            text = _("{model} has learned it: {link_start}choose it under Setup{link_end}.")
            said.append(text.format(model=written(self.model), link_start=linkStart, link_end=linkEnd))
        start = f"{self.level.value} {written(self.name)}"
        return f"{start}: {' '.join(said)}" if said else start


def hintLines(text: str, context: PromptContext, written: Callable[[PromptHint], str] = str) -> list[str]:
    """Return the lines below the prompts: what the list itself does not say, or that nothing needs a look.

    Where there are many, those that need a look come first.

    Args:
        text: All prompts.
        context: Of the run.
        written: Writes the line of a hint.
    """
    hints = promptHints(text, context)
    typed = {prompt.casefold() for prompt in split_prompts(text)}
    telling = [hint for hint in hints if hint.text or hint.name.casefold() not in typed]
    if hints and not telling:
        good = _("learned") if context.isModelKnown else _("in the vocabulary")
        return [f"{HintLevel.GOOD.value} {good}"]
    if len(telling) <= _MAX_LINES:
        return [written(hint) for hint in telling]
    telling.sort(key=lambda hint: not hint.text)
    return [*(written(hint) for hint in telling[:_MAX_LINES]), "\N{HORIZONTAL ELLIPSIS}"]


def promptHints(text: str, context: PromptContext) -> list[PromptHint]:
    """Return a hint for each prompt in the text."""
    if not text.strip():
        return []
    try:
        prompts = parse_prompts(text)
    except PromptError as error:
        return [PromptHint(HintLevel.PROBLEM, _("Prompts"), error.one_line)]
    return [_hint(prompt, context) for prompt in prompts]


def _hint(prompt: Prompt, context: PromptContext) -> PromptHint:
    status = name_status(prompt, context.trained, modality=context.modality, only_in=context.onlyIn)
    source = status.source(guess=context.guess) if context.isModelKnown else None
    isElsewhere = context.isModelKnown and status.kind is not NameKind.LEARNED
    if isElsewhere and (other := model_that_learned(prompt, context.others, modality=context.modality)):
        return PromptHint(HintLevel.GOOD, prompt.name, _("learned by {model}.").format(model=other))
    model = model_that_learned(prompt, context.models, modality=context.modality) if isElsewhere else ""
    if prompt.structure is None or source in (ResultSource.NONE, ResultSource.GUESS):
        level, text = _unlearnedHint(prompt, context, source)
        return PromptHint(level, prompt.name, text + ("" if model else _meant(prompt, status)), model)
    text = _doubt(prompt, prompt.structure, context.modality, status)
    return PromptHint(HintLevel.DOUBT if text else HintLevel.GOOD, prompt.name, text, model)


def _unlearnedHint(prompt: Prompt, context: PromptContext, source: ResultSource | None) -> tuple[HintLevel, str]:
    """Return the hint for a name that only a guess would segment, and for free text."""
    limited = names_of_other_modality(context.onlyIn, context.modality)
    learnedIn = limited.get(prompt.structure.name, "") if prompt.structure is not None else ""
    if source is ResultSource.NONE:
        level, text = HintLevel.PROBLEM, _notMarked(bool(learnedIn), context)
    elif prompt.structure is None and not context.readsFreeText:
        level, text = HintLevel.PROBLEM, _("not in the vocabulary; for free text, see Setup.")
    elif source is None:
        level, text = HintLevel.DOUBT, _("free text, less reliable.")
    elif learnedIn:
        level = HintLevel.DOUBT
        text = _("learned in {learned} only, this volume is {modality}; the result will be a guess.")
    else:
        level, text = HintLevel.DOUBT, _("not known to this model; the result will be a guess.")
    return level, text.format(learned=learnedIn, modality=context.modality)


def _notMarked(isLearnedElsewhere: bool, context: PromptContext) -> str:
    """Return the sentence about a name that gets no mask: learned in the other modality only, or never."""
    if isLearnedElsewhere and context.clicks:
        return _("learned in {learned} only, this volume is {modality}: click on it.")
    if context.clicks:
        return _("not known to this model: click on it.")
    if isLearnedElsewhere:
        text = _("learned in {learned} only, this volume is {modality}.")
    else:
        text = _("not known to this model.")
    return f"{text} {_('The model takes no clicks: draw it after the run.')}" if context.draws else text


def _doubt(prompt: Prompt, structure: Structure, modality: str, status: NameStatus) -> str:
    """Return why the result has to be checked; empty for good prompts."""
    if _isUnusual(structure, modality):
        text = _("usually seen on {usual}, this volume is {modality}.")
        return text.format(usual=structure.modalities[0], modality=modality)
    if status.learned_name:
        return _("segmented as {name}; check the mask.").format(name=status.learned_name)
    if status.rule:
        return _("not learned; marked by a rule on the image, check the mask.")
    return prompt.warnings[0] if prompt.warnings else ""


def _meant(prompt: Prompt, status: NameStatus) -> str:
    """Return a question with the name that the user may have meant; empty without one."""
    names = (*status.near, *prompt.suggestions)
    if not names:
        return ""
    text = _("Did you mean \N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}?")
    return " " + text.format(name=names[0])


def _isUnusual(structure: Structure, modality: str) -> bool:
    """Return whether a structure is unusual for the modality.

    The usual modality comes first in the vocabulary. CT stands first for almost all structures, which MR shows as well;
    what has MR first is hard to see on CT.
    """
    return bool(modality and structure.modalities) and (
        modality not in structure.modalities or (modality == "CT" and structure.modalities[0] == "MR")
    )
