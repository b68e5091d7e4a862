"""Review of the lesions of a segment: which ones a person has accepted, kept in a tag of the segment.

A lesion is known by its centre and its volume: one that changes has to be looked at again. Both are compared with a
tolerance, since files round the geometry of a segmentation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import slicer

from dsm.core.segment_tags import ACCEPTED_TAG, COMPLETED, STATUS_TAG
from DSMSegmentLib.scene.segment_tags import tagsOf
from DSMSegmentLib.scene.tag_writer import tagAccepted, tagReviewed

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion


_SAME_CENTER_MM = 0.1
_SAME_VOLUME = 1e-3


def lesionMark(lesion: MeasuredLesion) -> str:
    """Return the text that a lesion is known by.

    Example:
        `"12.50,-30.02,88.25,0.53213"`
    """
    return ",".join([*(f"{value:.2f}" for value in lesion.center_ras_mm), f"{lesion.volume_ml:.5g}"])


def isSameLesion(lesion: MeasuredLesion, other: MeasuredLesion) -> bool:
    """Return whether a lesion is the same as one that was measured before."""
    return _isSame(lesion, (*other.center_ras_mm, other.volume_ml))


def acceptedLesions(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, lesions: Sequence[MeasuredLesion]
) -> list[MeasuredLesion]:
    """Return the lesions that are accepted: all of a segment that is reviewed."""
    return acceptedByTags(tagsOf(segmentationNode.GetSegmentation().GetSegment(segmentId)), lesions)


def acceptedByTags(tags: Mapping[str, str], lesions: Sequence[MeasuredLesion]) -> list[MeasuredLesion]:
    """Return the lesions that are accepted by the tags of their segment."""
    if tags.get(STATUS_TAG) == COMPLETED:
        return list(lesions)
    marks = _parsed(tags.get(ACCEPTED_TAG, ""))
    return [lesion for lesion in lesions if any(_isSame(lesion, mark) for mark in marks)]


def acceptLesions(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    lesions: Sequence[MeasuredLesion],
    accepted: Sequence[MeasuredLesion],
) -> None:
    """Accept exactly these lesions; the segment is reviewed when all of its lesions are accepted.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        lesions: All of the segment, or more than can be accepted.
        accepted: Some of them.
    """
    tagAccepted(segmentationNode, segmentId, " ".join(map(lesionMark, accepted)))
    tagReviewed(segmentationNode, segmentId, reviewed=bool(lesions) and len(accepted) == len(lesions))


def _parsed(text: str) -> list[tuple[float, ...]]:
    """Read marks: centre in RAS mm and volume in ml; none where the tag is empty or broken."""
    try:
        marks = [tuple(map(float, mark.split(","))) for mark in text.split()]
    except ValueError:
        return []
    return [mark for mark in marks if len(mark) == 4]


def _isSame(lesion: MeasuredLesion, mark: tuple[float, ...]) -> bool:
    *center, volumeMl = mark
    isThere = math.dist(lesion.center_ras_mm, center) < _SAME_CENTER_MM
    return isThere and math.isclose(lesion.volume_ml, volumeMl, rel_tol=_SAME_VOLUME)
