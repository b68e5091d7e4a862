"""Names that the chosen model has not learned, but another installed one has."""

from __future__ import annotations

from collections.abc import Iterable

from dsm.core.prompt import Prompt
from dsm.errors import DSMError
from dsm.models.library import trained_names
from dsm.models.store import ModelEntry


def model_that_learned(prompt: Prompt, models: Iterable[ModelEntry], *, modality: str = "") -> str:
    """Return the name of the first model that has learned the name of a prompt; empty if there is none.

    Args:
        prompt: Parsed.
        models: Installed.
        modality: `"CT"` or `"MR"`, in which it has to be learned; empty for either.
    """
    structure = prompt.structure
    if structure is None:
        return ""
    return next((one.name for one in models if structure.name in _trained(one, modality)), "")


def _trained(model: ModelEntry, modality: str) -> tuple[str, ...]:
    try:
        return trained_names(model, modality)
    except DSMError:  # damaged: no model that one could choose
        return ()
