"""Names that the chosen model has not learned, but another installed one has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dsm.core.prompt import Prompt
from dsm.errors import DSMError
from dsm.models.library import ModelLibrary, trained_names
from dsm.models.store import ModelEntry, say_damaged


def other_models(folder: Path) -> tuple[ModelEntry, ...]:
    """Return the installed models beside the one in `folder`; none for a folder that is not among them."""
    models = ModelLibrary().models()
    chosen = folder.resolve()
    others = tuple(model for model in models if model.path.resolve() != chosen)
    return others if len(others) < len(models) else ()


def entry_that_learned(prompt: Prompt, models: Iterable[ModelEntry], *, modality: str = "") -> ModelEntry | None:
    """Return the first model that has learned the name of a prompt; None if there is none.

    Args:
        prompt: Parsed.
        models: Installed.
        modality: `"CT"` or `"MR"`, in which it has to be learned; empty for either.
    """
    structure = prompt.structure
    if structure is None:
        return None
    return next((one for one in models if structure.name in learned_names(one, modality)), None)


def model_that_learned(prompt: Prompt, models: Iterable[ModelEntry], *, modality: str = "") -> str:
    """Return the name of the model of `entry_that_learned`; empty if there is none."""
    entry = entry_that_learned(prompt, models, modality=modality)
    return entry.name if entry else ""


def models_that_learned(
    prompts: Iterable[Prompt], chosen: ModelEntry, models: Sequence[ModelEntry], *, modality: str = ""
) -> tuple[ModelEntry, ...]:
    """Return the models that may segment some of the prompts in place of the chosen one.

    Args:
        prompts: Parsed.
        chosen: Model that segments what it has learned itself.
        models: The others.
        modality: `"CT"` or `"MR"` of the scans; empty for both.
    """
    found = [
        entry_that_learned(prompt, models, modality=one)
        for prompt in prompts
        for one in ((modality,) if modality else ("CT", "MR"))
        if prompt.structure is None or prompt.structure.name not in learned_names(chosen, one)
    ]
    return tuple(model for model in models if model in found)


def learned_names(model: ModelEntry, modality: str) -> tuple[str, ...]:
    """Return the names that a model has learned; none of a damaged one, which the log names once.

    Args:
        model: Installed.
        modality: `"CT"` or `"MR"`, as of `trained_names`; empty for both.
    """
    try:
        return trained_names(model, modality)
    except DSMError as error:
        say_damaged(model.name, error)
        return ()
