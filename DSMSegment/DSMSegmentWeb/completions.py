"""Completions of the prompt box: names of the vocabulary in all its languages, with the kind that they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from dsm.core.name_status import NameKind
from dsm.core.structure import Structure
from dsm.models.learned_elsewhere import model_that_learned
from dsm.models.store import ModelEntry
from dsm.text.name_status import name_status
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary

# As in the hints: learned, found by a related name or an image rule, not known.
_MARKS = {
    NameKind.LEARNED: ("mdi-check", "learned"),
    NameKind.RELATED: ("mdi-help", "related: check the mask"),
    NameKind.UNKNOWN: ("mdi-exclamation", "not known to this model"),
}


def completions(
    learned: Collection[str], modality: str, models: Sequence[ModelEntry] = (), others: Sequence[ModelEntry] = ()
) -> list[dict[str, Any]]:
    """Return the names, the learned ones first and last those that no model has learned.

    Each has an English title and value, and under `names` what it is called in German, French and Spanish.

    Args:
        learned: Names that the model has learned; empty if unknown, then no name has a mark.
        modality: `"CT"` or `"MR"`; empty where unknown.
        models: Models that could be chosen.
        others: Models that segment the names that they have learned and the chosen one has not.
    """
    structures = load_vocabulary().structures
    if not learned:
        return [_item(structure) for structure in structures]
    order, ranked = list(_MARKS), []
    for structure in structures:
        (prompt,) = parse_prompts(structure.name)
        kind = name_status(prompt, learned, modality=modality).kind
        if kind is not NameKind.LEARNED and (other := model_that_learned(prompt, others, modality=modality)):
            ranked.append((order.index(NameKind.LEARNED), False, _item(structure, NameKind.LEARNED, other)))
            continue
        model = model_that_learned(prompt, models, modality=modality) if kind is NameKind.UNKNOWN else ""
        ranked.append((order.index(kind), not model, _item(structure, kind, model)))
    return [item for *_, item in sorted(ranked, key=lambda row: row[:2])]


def _item(structure: Structure, kind: NameKind | None = None, model: str = "") -> dict[str, Any]:
    icon, said = _MARKS[kind] if kind is not None else ("", "")
    if model:
        said += f" by {model}" if kind is NameKind.LEARNED else f"; {model} has learned it"
    return {
        "title": structure.name,
        "value": structure.name,
        "names": list(load_vocabulary().foreign_names(structure)),
        "props": {"append-icon": icon, "aria-description": said} if icon else {},
    }
