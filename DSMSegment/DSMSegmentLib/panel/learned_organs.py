"""Button that adds all organs that the model has learned to the prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from dsm.text.vocabulary import load_vocabulary
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.panel.button_reason import enableOrExplain
from DSMSegmentLib.panel.hints import PromptContext


class LearnedOrgansButton:
    """Connection of the button.

    Args:
        button: `QPushButton`.
        append: Adds prompts.
    """

    def __init__(self, button: Any, append: Callable[..., None]) -> None:
        self._button = button
        self._append = append
        self._organs: tuple[str, ...] = ()
        button.clicked.connect(self._onClicked)

    def update(self, context: PromptContext) -> None:
        """Take over the names that the model was trained on, in the modality of the volume."""
        self._organs = learnedOrgans(context.trained)
        reason = "" if context.isModelKnown else _("Which names the model has learned is not known.")
        if not reason and not self._organs:
            inModality = _("The model has learned no organs in {modality}.").format(modality=context.modality)
            reason = inModality if context.modality else _("The model has learned no organs.")
        enableOrExplain(self._button, not reason, reason)

    def _onClicked(self, _checked: bool = False) -> None:
        self._append(*self._organs)


def learnedOrgans(trained: Collection[str]) -> tuple[str, ...]:
    """Return the organs among the names that a model was trained on, in the order of the vocabulary."""
    return tuple(one.name for one in load_vocabulary().structures if one.name in trained and one.kind == "organ")
