"""State of a segment at one moment, to be restored later: mask, name, colour, tags and place in the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        metadata: Name, colour, code and tags.
        mask: Cropped to its extent; without voxels for a segment that is empty.
        shown_color: Colour in the views that is not its own; `NO_COLOR` for none.
        visible: Whether the views show it.
    """

    place: int
    metadata: slicer.vtkSegment
    mask: slicer.vtkOrientedImageData
    shown_color: _Color
    visible: bool

    @classmethod
    def of(cls, node: Any, segment_id: str) -> SegmentState:
        """Copy a segment."""
        segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
        metadata = slicer.vtkSegment()
        metadata.DeepCopyMetadata(segmentation.GetSegment(segment_id))
        return cls(
            segmentation.GetSegmentIndex(segment_id),
            metadata,
            orientedImageFromSegment(node, segment_id),
            tuple(display.GetSegmentOverrideColor(segment_id)),
            bool(display.GetSegmentVisibility(segment_id)),
        )

    def restore(self, node: Any, segment_id: str) -> None:
        """Give a segment this state; one that is gone comes back to its place."""
        segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
        is_gone = segmentation.GetSegment(segment_id) is None
        if is_gone:
            segmentation.AddEmptySegment(segment_id, self.metadata.GetName(), self.metadata.GetColor())
        segment = segmentation.GetSegment(segment_id)
        label = segment.GetLabelValue()  # belongs to the layer that the segment lies in now
        segment.DeepCopyMetadata(self.metadata)
        segment.SetLabelValue(label)
        if self.mask.GetNumberOfPoints():
            setSegmentMask(node, segment_id, self.mask)
        else:
            segmentation.ClearSegment(segment_id)
        if is_gone:
            segmentation.SetSegmentIndex(segment_id, self.place)
            display.SetSegmentVisibility(segment_id, self.visible)
        display.SetSegmentOverrideColor(segment_id, *self.shown_color)

    def equals(self, other: SegmentState) -> bool:
        """Return whether mask, name, colour, code and tags are the same."""
        return _described(self.metadata) == _described(other.metadata) and _same(self.mask, other.mask)


def _described(segment: slicer.vtkSegment) -> tuple[Any, ...]:
    return segment.GetName(), segment.GetColor(), segment.GetTerminology(), tagsOf(segment)


def _same(one: slicer.vtkOrientedImageData, other: slicer.vtkOrientedImageData) -> bool:
    mine, yours = cropFromOrientedImage(one), cropFromOrientedImage(other)
    return mine.offset_ijk == yours.offset_ijk and np.array_equal(mine.array != 0, yours.array != 0)
