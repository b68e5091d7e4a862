"""The only writer of segment tags, so that results are described alike wherever they come from.

Volumes are those of the mask in the frame of its segmentation, before parent transforms, as in Slicer's statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from dsm.core.segment_tags import (
    ALGORITHM_TYPE_TAG,
    MANUALLY_CHANGED,
    NOTE_TAG,
    PROMPT_TAG,
    TAGS,
    THRESHOLD_TAG,
    VOLUME_TAG,
    Provenance,
    SegmentFacts,
    format_notes,
    format_threshold,
    format_volume,
    to_tags,
)
from DSMSegmentLib.scene.mrml import countVoxels, orientedImageFromSegment, voxelVolumeMl
from DSMSegmentLib.scene.segment_tags import tagOf
from DSMSegmentLib.scene.segment_volumes import noteVolume

if TYPE_CHECKING:
    from dsm.core.result import PromptResult


def tagResult(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    result: PromptResult,
    provenance: Provenance,
    volumeNode: slicer.vtkMRMLScalarVolumeNode,
    *,
    mask: slicer.vtkOrientedImageData | None = None,
    byHand: bool = False,
) -> float:
    """Tag a segment with its origin, once its mask is written.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        result: What the network found; the mask of the segment may be another by policies and masking.
        provenance: What made the result.
        volumeNode: That was segmented.
        mask: That the segment was given; None to look, which takes longer.
        byHand: Whether a person had a part in it, as with the effect in the Segment Editor.

    Returns:
        Volume of the mask in ml.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    facts = SegmentFacts(
        prompt=result.prompt.text,
        name=result.prompt.name,
        provenance=provenance,
        score=result.score,
        threshold=result.threshold,
        seconds=result.seconds,
        notes=warningsOf(result),
        edited=byHand,
    )
    tags = to_tags(facts)
    for name in TAGS:
        _setTag(segment, name, tags.get(name, ""))
    noteVolume(segmentationNode, segmentId, volumeNode)
    return tagMask(segmentationNode, segmentId, mask)


def tagThreshold(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    threshold: float,
    mask: slicer.vtkOrientedImageData,
) -> float:
    """Tag a segment with its new threshold; returns its volume in ml."""
    segmentationNode.GetSegmentation().GetSegment(segmentId).SetTag(THRESHOLD_TAG, format_threshold(threshold))
    return tagMask(segmentationNode, segmentId, mask)


def tagEdited(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
    """Tag a segment as SEMIAUTOMATIC, the DICOM term for an edited result."""
    segmentationNode.GetSegmentation().GetSegment(segmentId).SetTag(ALGORITHM_TYPE_TAG, MANUALLY_CHANGED)
    tagMask(segmentationNode, segmentId)


def tagLoss(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, taker: str) -> None:
    """Tag a segment that lost voxels to another one, `taker` by name. Manually drawn segments have no tags."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if not tagOf(segment, PROMPT_TAG):
        return
    said = tagOf(segment, NOTE_TAG)
    note = f"Voxels went to {taker}."
    _setTag(segment, NOTE_TAG, format_notes((said, note) if said and note not in said else (said or note,)))
    tagMask(segmentationNode, segmentId)


def tagMask(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, mask: slicer.vtkOrientedImageData | None = None
) -> float:
    """Tag a segment with the size of its mask; returns its volume in ml."""
    image = mask if mask is not None else orientedImageFromSegment(segmentationNode, segmentId)
    volumeMl = countVoxels(image) * voxelVolumeMl(image)
    segmentationNode.GetSegmentation().GetSegment(segmentId).SetTag(VOLUME_TAG, format_volume(volumeMl))
    return volumeMl


def warningsOf(result: PromptResult) -> tuple[str, ...]:
    """Return the warnings about a result, in sentences, without duplicates."""
    return tuple(dict.fromkeys((*result.prompt.warnings, *result.warnings)))


def _setTag(segment: slicer.vtkSegment, name: str, value: str) -> None:
    if value:
        segment.SetTag(name, value)
    else:
        segment.RemoveTag(name)
