"""Journal of the changes of one run in one segmentation node, for an exact undo and redo.

`vtkSegmentationHistory` would be shorter, but it restores the whole node: edits that the user made by hand while the
worker was busy, or after it, would be lost with the run. The journal touches no segment that the run did not touch.
"""

from __future__ import annotations

import slicer
from slicer.util import NodeModify

from DSMSegmentLib.scene.placement import RemovedSegmentation, removeSegmentation
from DSMSegmentLib.scene.segment_state import SegmentState
from DSMSegmentLib.scene.sequence_item import SequenceItem


class RunJournal:
    """Record of the changes of a run.

    Args:
        segmentationNode: That the run writes to.
        ownsNode: Whether the run made the node, so that taking back the run takes it away.
    """

    def __init__(self, segmentationNode: slicer.vtkMRMLSegmentationNode, *, ownsNode: bool = False) -> None:
        self._node = segmentationNode
        self._ownsNode = ownsNode
        # A node that shows a sequence holds other segments at other times, under the same ids.
        self._time = SequenceItem.shownBy(segmentationNode)
        self._added: list[str] = []
        self._changed: dict[str, SegmentState] = {}
        # Only undo removes anything.
        self._removed: dict[str, SegmentState] = {}
        self._removedNode: RemovedSegmentation | None = None

    @property
    def isEmpty(self) -> bool:
        """True if the run has changed no segment."""
        return not (self._added or self._changed or self._removed)

    def noteAdded(self, segmentId: str) -> None:
        """Record an added segment."""
        self._added.append(segmentId)

    def noteChanging(self, segmentId: str) -> None:
        """Record a segment before it is changed, with a copy of its mask cropped to its extent."""
        if segmentId not in self._added and segmentId not in self._changed:
            self._changed[segmentId] = SegmentState.of(self._node, segmentId)

    def revert(self) -> RunJournal:
        """Undo the run: remove added segments, restore changed ones, leave all others.

        In a sequence, the sequence item of the run is shown, if the run changed anything.

        Returns:
            Journal of what this has changed; its `revert` is the redo. Segments, nodes and sequence items that the user
            has deleted meanwhile stay deleted.
        """
        inverse = RunJournal(self._node, ownsNode=self._ownsNode)
        inverse._time = self._time
        if self._removedNode is not None:
            self._removedNode.putBack()
        if self._node.GetScene() is None:  # the user closed the scene or deleted the node
            return inverse
        if self._time is not None and not self.isEmpty and not self._time.show():
            return inverse  # the user has deleted the sequence item
        segmentation = self._node.GetSegmentation()
        there = set(segmentation.GetSegmentIDs())
        inverse._removed = {id_: SegmentState.of(self._node, id_) for id_ in self._added if id_ in there}
        inverse._changed = {id_: SegmentState.of(self._node, id_) for id_ in self._changed if id_ in there}
        inverse._added = [id_ for id_ in self._removed if id_ not in there]
        with NodeModify(self._node):
            for segmentId in inverse._removed:
                segmentation.RemoveSegment(segmentId)
            for segmentId in inverse._changed:
                self._changed[segmentId].restore(self._node, segmentId)
            for segmentId in inverse._added:
                self._removed[segmentId].restore(self._node, segmentId)
        if self._ownsNode and self._removedNode is None and segmentation.GetNumberOfSegments() == 0:
            inverse._removedNode = removeSegmentation(self._node)
        self._added, self._changed, self._removed, self._removedNode = [], {}, {}, None
        return inverse

    def revertSegment(self, segmentId: str) -> None:
        """Undo the changes of one segment, and forget it."""
        if segmentId in self._added:
            self._added.remove(segmentId)
            self._node.GetSegmentation().RemoveSegment(segmentId)
        elif segmentId in self._changed:
            self._changed.pop(segmentId).restore(self._node, segmentId)
