"""Rejection of a lesion as a change that can be taken back, without what was accepted or not since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from DSMSegmentLib.scene.lesion_review import acceptedByTags, acceptLesions, isSameLesion
from DSMSegmentLib.scene.lesions import lesionsOf
from DSMSegmentLib.scene.segment_tags import tagsOf
from DSMSegmentLib.scene.undo import Journal

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion


class Rejection:
    """Journal of a rejection: its mask is taken back, and of the acceptances only that of its lesion.

    Args:
        journal: Of the segment, which held its mask and its tags.
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        lesion: That was rejected.
        wasAccepted: Whether it had been accepted before.
    """

    def __init__(
        self,
        journal: Journal,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        lesion: MeasuredLesion,
        *,
        wasAccepted: bool,
    ) -> None:
        self._journal = journal
        self._node, self._segmentId = segmentationNode, segmentId
        self._lesion, self._wasAccepted = lesion, wasAccepted

    @property
    def isEmpty(self) -> bool:
        """True if nothing was changed."""
        return self._journal.isEmpty

    def revert(self) -> Rejection:
        """Take the rejection back, or do it again; returns the change that this was."""
        tags = self._tags()
        there = self._lesions() if tags is not None else []
        mine = [one for one in there if isSameLesion(one, self._lesion)]
        wasAccepted = bool(acceptedByTags(tags, mine)) if tags is not None and mine else self._wasAccepted
        inverse = self._journal.revert()
        if tags is not None and self._tags() is not None:
            lesions = self._lesions()
            accepted = acceptedByTags(tags, lesions)
            kept = [one for one in lesions if (wasAccepted if isSameLesion(one, self._lesion) else one in accepted)]
            acceptLesions(self._node, self._segmentId, lesions, kept)
        return Rejection(inverse, self._node, self._segmentId, self._lesion, wasAccepted=wasAccepted)

    def _tags(self) -> dict[str, str] | None:
        if self._node.GetScene() is None:
            return None
        segment = self._node.GetSegmentation().GetSegment(self._segmentId)
        return dict(tagsOf(segment)) if segment is not None else None

    def _lesions(self) -> list[MeasuredLesion]:
        return lesionsOf(self._node, self._segmentId)
