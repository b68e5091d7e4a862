"""Undo and redo of the last changes of each segmentation: runs, and edits in the panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import slicer

# Journals of runs that replaced segments hold copies of them; those of edits are small.
_MAX_RUNS = 3
_MAX_CHANGES = 20


class Change(Protocol):
    """Protocol of a change that can be taken back."""

    def revert(self) -> Change:
        """Take exactly this change back; returns the change that this was, whose `revert` does it again."""


class Journal(Change, Protocol):
    """Protocol of the changes of one run or edit in a segmentation."""

    @property
    def isEmpty(self) -> bool:
        """True if nothing was changed."""

    def revert(self) -> Journal:
        """See `Change.revert`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """Changes that are undone and redone together, in their order.

    Args:
        node: Segmentation that was changed.
        journal: Changes there.
        others: What goes along with them.
        isRun: Whether a run made them.
        removedNode: Whether undoing them has taken the segmentation out of the scene.
    """

    node: slicer.vtkMRMLSegmentationNode
    journal: Journal
    others: tuple[Change, ...]
    isRun: bool
    removedNode: bool = False

    @property
    def canRevert(self) -> bool:
        """True if the segmentation is in the scene, or if the undo that removed it can bring it back."""
        if self.node.GetScene() is not None:
            return True
        # By its id it is found in all that belongs to it: a scene that was added may have a node of this id.
        return self.removedNode and slicer.mrmlScene.GetNodeByID(self.node.GetID()) is None

    def revert(self) -> _Step:
        """Undo or redo; returns the step that takes this back."""
        wasThere = self.node.GetScene() is not None
        journal, others = self.journal.revert(), tuple(change.revert() for change in self.others)
        return _Step(self.node, journal, others, self.isRun, wasThere and self.node.GetScene() is None)


class UndoHistory:
    """Changes that can be undone, and undone ones that can be redone, the newest last."""

    def __init__(self) -> None:
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    def add(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        journal: Journal,
        *others: Change,
        isRun: bool = True,
    ) -> None:
        """Record a change; what was undone before cannot be redone any more.

        The oldest changes of the same node are dropped beyond the limits.

        Args:
            segmentationNode: That was written to.
            journal: Changes there.
            others: Changes that are undone and redone after those of the journal.
            isRun: Whether a run made it, of which fewer are kept.
        """
        # A scene that was closed during the run took the node along, and a later node may get its id.
        if journal.isEmpty or segmentationNode.GetScene() is None:
            return
        self.forgetRedo(segmentationNode)
        self._done.append(_Step(segmentationNode, journal, others, isRun))
        mine = [step for step in self._done if step.node is segmentationNode]
        while len(mine) > _MAX_CHANGES or sum(step.isRun for step in mine) > _MAX_RUNS:
            self._done.remove(mine.pop(0))

    def canUndo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether there is a change to undo."""
        return self._last(segmentationNode) is not None

    def undoLast(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> bool:
        """Undo the newest change of a segmentation; returns False when there is none."""
        last = self._last(segmentationNode)
        if last is None:
            return False
        self._done.remove(last)
        undone = last.revert()
        if not undone.journal.isEmpty:  # else the user has deleted all that it could do again
            self._undone.append(undone)
        return True

    def canRedo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether a change can be redone: of a segmentation, or for None of one that undo has removed."""
        return self._lastUndone(segmentationNode) is not None

    def redoLast(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode | None
    ) -> slicer.vtkMRMLSegmentationNode | None:
        """Redo what was undone last (see `canRedo`); returns its segmentation, None when there is nothing to redo."""
        last = self._lastUndone(segmentationNode)
        if last is None:
            return None
        self._undone.remove(last)
        self._done.append(last.revert())
        return last.node

    def forgetRedo(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Forget what was undone in a segmentation, and in those that undo has removed: something else was done."""
        self._undone = [
            step for step in self._undone if step.node is not segmentationNode and step.node.GetScene() is not None
        ]

    def clear(self) -> None:
        """Forget all changes, for example when the scene is closed."""
        self._done.clear()
        self._undone.clear()

    def _last(self, node: slicer.vtkMRMLSegmentationNode | None) -> _Step | None:
        return next((step for step in reversed(self._done) if step.node is node), None)

    def _lastUndone(self, node: slicer.vtkMRMLSegmentationNode | None) -> _Step | None:
        steps = (step for step in reversed(self._undone) if step.node is node or (node is None and step.removedNode))
        return next((step for step in steps if step.canRevert), None)
