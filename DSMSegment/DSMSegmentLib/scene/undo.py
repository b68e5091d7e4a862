"""Undo history of the last runs of each segmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import slicer

# Journals of runs that replaced segments hold copies of them.
_MAX_RUNS = 3


class Journal(Protocol):
    """Protocol of the changes of one run."""

    @property
    def isEmpty(self) -> bool:
        """True if the run has changed nothing."""

    def revert(self) -> None:
        """Undo exactly this run."""


class UndoHistory:
    """Journals of finished runs, the newest last."""

    def __init__(self) -> None:
        self._journals: list[tuple[str, Journal, Callable[[], None] | None]] = []

    def add(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        journal: Journal,
        onUndone: Callable[[], None] | None = None,
    ) -> None:
        """Record a finished run; the oldest one of the same node is dropped beyond the limit.

        Args:
            segmentationNode: That the run wrote to.
            journal: Changes of the run there.
            onUndone: Called when the run was taken back.
        """
        # A scene that was closed during the run took the node along, and a later node may get its id.
        if journal.isEmpty or segmentationNode.GetScene() is None:
            return
        nodeId = segmentationNode.GetID()
        self._journals.append((nodeId, journal, onUndone))
        mine = [entry for entry in self._journals if entry[0] == nodeId]
        if len(mine) > _MAX_RUNS:
            self._journals.remove(mine[0])

    def canUndo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether there is a run to undo."""
        return segmentationNode is not None and any(key == segmentationNode.GetID() for key, *_ in self._journals)

    def undoLast(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> bool:
        """Undo the newest run of a segmentation; returns False when there is none."""
        for index in reversed(range(len(self._journals))):
            if self._journals[index][0] == segmentationNode.GetID():
                _, journal, onUndone = self._journals.pop(index)
                journal.revert()
                if onUndone is not None:
                    onUndone()
                return True
        return False

    def clear(self) -> None:
        """Forget all runs, for example when the scene is closed."""
        self._journals.clear()
