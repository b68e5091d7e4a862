"""Journal of the changes of one run in one segmentation node, for an exact undo.

`vtkSegmentationHistory` would be shorter, but it restores the whole node: edits that the user made by hand while the
worker was busy, or after it, would be lost with the run. The journal touches no segment that the run did not touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import slicer
from slicer.util import NodeModify

from DSMSegmentLib.scene.mrml import orientedImageFromSegment, setSegmentMask
from DSMSegmentLib.scene.placement import removeSegmentation
from DSMSegmentLib.scene.sequence_item import SequenceItem


@dataclass(frozen=True, slots=True, eq=False)
class _SegmentBefore:
    """Previous state of a segment: name, colour, tags and mask."""

    metadata: slicer.vtkSegment
    mask: slicer.vtkOrientedImageData


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
        self._before: dict[str, _SegmentBefore] = {}

    @property
    def isEmpty(self) -> bool:
        """True if the run has changed no segment."""
        return not (self._added or self._before)

    def noteAdded(self, segmentId: str) -> None:
        """Record an added segment."""
        self._added.append(segmentId)

    def noteChanging(self, segmentId: str) -> None:
        """Record a segment before it is changed, with a copy of its mask cropped to its extent."""
        if segmentId in self._added or segmentId in self._before:
            return
        metadata = slicer.vtkSegment()
        metadata.DeepCopyMetadata(self._node.GetSegmentation().GetSegment(segmentId))
        self._before[segmentId] = _SegmentBefore(metadata, orientedImageFromSegment(self._node, segmentId))

    def revert(self) -> None:
        """Undo the run: remove added segments, restore changed ones, leave all others.

        In a sequence, the sequence item of the run is shown, if the run changed anything.
        """
        if self._node.GetScene() is None:  # the user closed the scene or deleted the node
            return
        if self._time is not None and not self.isEmpty and not self._time.show():
            return  # the user has deleted the sequence item
        segmentation = self._node.GetSegmentation()
        with NodeModify(self._node):
            for segmentId in self._added:
                if segmentation.GetSegment(segmentId) is not None:  # else the user has deleted it
                    segmentation.RemoveSegment(segmentId)
            for segmentId, before in self._before.items():
                if segmentation.GetSegment(segmentId) is not None:
                    self._restore(segmentId, before)
        self._added.clear()
        self._before.clear()
        if self._ownsNode and segmentation.GetNumberOfSegments() == 0:
            removeSegmentation(self._node)

    def revertSegment(self, segmentId: str) -> None:
        """Undo the changes of one segment, and forget it."""
        if segmentId in self._added:
            self._added.remove(segmentId)
            self._node.GetSegmentation().RemoveSegment(segmentId)
        elif segmentId in self._before:
            self._restore(segmentId, self._before.pop(segmentId))

    def _restore(self, segmentId: str, before: _SegmentBefore) -> None:
        segmentation = self._node.GetSegmentation()
        segment = segmentation.GetSegment(segmentId)
        labelValue = segment.GetLabelValue()  # belongs to the layer that the segment lies in now
        segment.DeepCopyMetadata(before.metadata)
        segment.SetLabelValue(labelValue)
        if before.mask.GetNumberOfPoints() == 0:
            segmentation.ClearSegment(segmentId)
        else:
            setSegmentMask(self._node, segmentId, before.mask)
