"""Slicer's mode in which clicks in the views place points, for one list of clicks at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer


class PlaceMode:
    """Start and end placing, and tell when it has begun or ended: the toolbar and the right mouse button do so, too.

    Args:
        onChanged: Called when another list, or none, gets the points.
    """

    def __init__(self, onChanged: Callable[[], None]) -> None:
        self._onChanged = onChanged
        logic = slicer.app.applicationLogic()
        interaction, selection = logic.GetInteractionNode(), logic.GetSelectionNode()
        self._interaction, self._selection = interaction, selection
        self._tags = [
            (interaction, interaction.AddObserver(interaction.InteractionModeChangedEvent, self._onEvent)),
            (selection, selection.AddObserver(selection.ActivePlaceNodeIDChangedEvent, self._onEvent)),
        ]

    @property
    def node(self) -> Any:
        """List that the points are placed in; None while none are."""
        if self._interaction.GetCurrentInteractionMode() != self._interaction.Place:
            return None
        return slicer.mrmlScene.GetNodeByID(self._selection.GetActivePlaceNodeID() or "")

    def start(self, node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
        """Place points in a list until `stop`, one a click."""
        logic = slicer.modules.markups.logic()
        logic.SetActiveList(node)
        logic.StartPlaceMode(True)

    def stop(self) -> None:
        """End placing."""
        self._interaction.SwitchToViewTransformMode()

    def close(self) -> None:
        """Stop observing the scene."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags.clear()

    def _onEvent(self, _node: Any, _event: str) -> None:
        self._onChanged()
