"""Undo history of the last changes of each segmentation: runs, and edits in the panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import slicer

# Journals of runs that replaced segments hold copies of them; those of edits are small.
_MAX_RUNS = 3
_MAX_CHANGES = 20


class Journal(Protocol):
    """Protocol of the changes of one run or edit."""

    @property
    def isEmpty(self) -> bool:
        """True if nothing was changed."""

    def revert(self) -> None:
        """Undo exactly this change."""


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """A change that can be taken back."""

    nodeId: str
    journal: Journal
    onUndone: Callable[[], None] | None
    isRun: bool


class UndoHistory:
    """Journals of changes, the newest last."""

    def __init__(self) -> None:
        self._changes: list[_Change] = []

    def add(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        journal: Journal,
        onUndone: Callable[[], None] | None = None,
        *,
        isRun: bool = True,
    ) -> None:
        """Record a change; the oldest ones of the same node are dropped beyond the limits.

        Args:
            segmentationNode: That was written to.
            journal: Changes there.
            onUndone: Called when the change was taken back.
            isRun: Whether a run made it, of which fewer are kept.
        """
        # A scene that was closed during the run took the node along, and a later node may get its id.
        if journal.isEmpty or segmentationNode.GetScene() is None:
            return
        nodeId = segmentationNode.GetID()
        self._changes.append(_Change(nodeId, journal, onUndone, isRun))
        mine = [change for change in self._changes if change.nodeId == nodeId]
        while len(mine) > _MAX_CHANGES or sum(change.isRun for change in mine) > _MAX_RUNS:
            self._changes.remove(mine.pop(0))

    def canUndo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether there is a change to undo."""
        return segmentationNode is not None and any(one.nodeId == segmentationNode.GetID() for one in self._changes)

    def undoLast(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> bool:
        """Undo the newest change of a segmentation; returns False when there is none."""
        nodeId = segmentationNode.GetID()
        last = next((change for change in reversed(self._changes) if change.nodeId == nodeId), None)
        if last is None:
            return False
        self._changes.remove(last)
        last.journal.revert()
        if last.onUndone is not None:
            last.onUndone()
        return True

    def clear(self) -> None:
        """Forget all changes, for example when the scene is closed."""
        self._changes.clear()
