"""Button that adds all organs that a model has learned to the prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from dsm.models.learned_elsewhere import learned_names
from dsm.text.vocabulary import load_vocabulary
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.panel.button_reason import enableOrExplain
from DSMSegmentLib.panel.hints import PromptContext


@dataclass(frozen=True)
class LearnedOrgans:
    """Organs that one model has learned.

    Args:
        names: In the order of the vocabulary.
    """

    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """Body regions and number, such as "Head, neck (6)"."""
        vocabulary = load_vocabulary()
        found = [structure for name in self.names if (structure := vocabulary.get(name))]
        regions = ", ".join(dict.fromkeys(structure.body_region for structure in found))
        return _("{regions} ({count})").format(regions=regions.capitalize(), count=len(self.names))


class LearnedOrgansButton:
    """Connection of the button; where other models segment, too, its arrow opens a menu of all organs.

    Args:
        button: `QToolButton`, whose menu opens at an arrow beside its text.
        append: Adds prompts.
    """

    def __init__(self, button: Any, append: Callable[..., None]) -> None:
        self._button = button
        self._append = append
        self._groups: list[LearnedOrgans] = []
        self._menu = qt.QMenu(button)
        button.clicked.connect(self._onClicked)

    def update(self, context: PromptContext) -> None:
        """Take over the names that the models were trained on, in the modality of the volume."""
        groups = learnedGroups(context)
        reason = "" if context.isModelKnown else _("Which names the model has learned is not known.")
        if not reason and not groups:
            inModality = _("The model has learned no organs in {modality}.").format(modality=context.modality)
            reason = inModality if context.modality else _("The model has learned no organs.")
        enableOrExplain(self._button, not reason, reason)
        if groups == self._groups:
            return
        self._groups = groups
        self._menu.clear()
        for group in groups:
            self._menu.addAction(group.text).triggered.connect(partial(self._onChosen, group))
        self._button.setMenu(self._menu if len(groups) > 1 else None)

    def _onClicked(self, _checked: bool = False) -> None:
        self._append(*self._groups[0].names)

    def _onChosen(self, group: LearnedOrgans, _checked: bool = False) -> None:
        self._append(*group.names)


def learnedGroups(context: PromptContext) -> list[LearnedOrgans]:
    """Return the organs of the chosen model, then those that each other model adds; none without organs."""
    groups, known = [], set[str]()
    for names in (context.trained, *(learned_names(other, context.modality) for other in context.others)):
        if organs := learnedOrgans(set(names) - known):
            groups.append(LearnedOrgans(organs))
        known.update(names)
    return groups


def learnedOrgans(trained: Collection[str]) -> tuple[str, ...]:
    """Return the organs among the names that a model was trained on, in the order of the vocabulary."""
    return tuple(one.name for one in load_vocabulary().structures if one.name in trained and one.kind == "organ")
