"""State of a segment at one moment, to be restored later: mask, name, color, tags and place in the list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer

from DSMSegmentLib.scene.mrml import cropFromOrientedImage, orientedImageFromSegment, setSegmentMask
from DSMSegmentLib.scene.segment_tags import tagsOf

_Color = tuple[float, float, float]
NO_COLOR: _Color = (-1.0, -1.0, -1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentState:
    """A copy of a segment.

    Args:
        place: Its number in the segmentation.
        metadata: Name, color, code and tags.
        mask: Cropped to its extent; without voxels for a segment that is empty.
        shownColor: Color in the views that is not its own; `NO_COLOR` for none.
        visible: Whether the views show it.
    """

    place: int
    metadata: slicer.vtkSegment
    mask: slicer.vtkOrientedImageData
    shownColor: _Color
    visible: bool

    @classmethod
    def of(cls, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> SegmentState:
        """Copy a segment."""
        segmentation, display = segmentationNode.GetSegmentation(), segmentationNode.GetDisplayNode()
        metadata = slicer.vtkSegment()
        metadata.DeepCopyMetadata(segmentation.GetSegment(segmentId))
        return cls(
            segmentation.GetSegmentIndex(segmentId),
            metadata,
            orientedImageFromSegment(segmentationNode, segmentId),
            tuple(display.GetSegmentOverrideColor(segmentId)) if display is not None else NO_COLOR,
            bool(display.GetSegmentVisibility(segmentId)) if display is not None else True,
        )

    def restore(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
        """Give a segment this state; one that is gone comes back to its place."""
        segmentation, display = segmentationNode.GetSegmentation(), segmentationNode.GetDisplayNode()
        isGone = segmentation.GetSegment(segmentId) is None
        if isGone:
            segmentation.AddEmptySegment(segmentId, self.metadata.GetName(), self.metadata.GetColor())
        restoreMetadata(segmentation.GetSegment(segmentId), self.metadata)
        if self.mask.GetNumberOfPoints():
            setSegmentMask(segmentationNode, segmentId, self.mask)
        else:
            segmentation.ClearSegment(segmentId)
        if isGone:
            segmentation.SetSegmentIndex(segmentId, self.place)
        if display is not None:
            if isGone:
                display.SetSegmentVisibility(segmentId, self.visible)
            display.SetSegmentOverrideColor(segmentId, *self.shownColor)

    def equals(self, other: SegmentState) -> bool:
        """Return whether mask, name, color, code and tags are the same."""
        return _described(self.metadata) == _described(other.metadata) and _same(self.mask, other.mask)


def restoreMetadata(segment: slicer.vtkSegment, metadata: slicer.vtkSegment) -> None:
    """Give a segment the name, color, code and tags of a copy."""
    labelValue = segment.GetLabelValue()  # belongs to the layer that the segment lies in now
    segment.DeepCopyMetadata(metadata)
    segment.SetLabelValue(labelValue)


def _described(segment: slicer.vtkSegment) -> tuple[object, ...]:
    return segment.GetName(), segment.GetColor(), segment.GetTerminology(), tagsOf(segment)


def _same(one: slicer.vtkOrientedImageData, other: slicer.vtkOrientedImageData) -> bool:
    mine, yours = cropFromOrientedImage(one), cropFromOrientedImage(other)
    return mine.offset_ijk == yours.offset_ijk and np.array_equal(mine.array != 0, yours.array != 0)
