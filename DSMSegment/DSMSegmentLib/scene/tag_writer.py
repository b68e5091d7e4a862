"""Writer of segment tags, the only one in the scene.

Volumes are those of the mask in the frame of its segmentation, before parent transforms, as in Slicer's statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from dsm.core.name_status import ResultSource
from dsm.core.segment_tags import (
    ACCEPTED_TAG,
    ALGORITHM_TYPE_TAG,
    COMPLETED,
    EDITED_TAG,
    IN_PROGRESS,
    MANUALLY_CHANGED,
    NAME_TAG,
    NOTE_TAG,
    PROMPT_TAG,
    SOURCE_TAG,
    STATUS_TAG,
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
    from dsm.core.prompt import Prompt
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
        result: Result of the network; the mask of the segment may differ from it by policies and masking.
        provenance: Source of the result.
        volumeNode: That was segmented.
        mask: That the segment was given; None to look, which takes longer.
        byHand: Whether a person had a part in it, as with the effect in the Segment Editor.

    Returns:
        Volume of the mask in ml.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    tags = to_tags(SegmentFacts.of(result, provenance, edited=byHand))
    for name in TAGS:
        _setTag(segment, name, tags.get(name, ""))
    noteVolume(segmentationNode, segmentId, volumeNode)
    return tagMask(segmentationNode, segmentId, mask)


def tagPrompt(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    prompt: Prompt,
    volumeNode: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Tag an empty segment with the prompt whose object a person is going to click."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    for name, value in ((PROMPT_TAG, prompt.text), (NAME_TAG, prompt.name), (SOURCE_TAG, ResultSource.CLICK.value)):
        segment.SetTag(name, value)
    noteVolume(segmentationNode, segmentId, volumeNode)


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
    """Tag a segment as edited by hand, and as SEMIAUTOMATIC, the DICOM term for an edited result."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    segment.SetTag(ALGORITHM_TYPE_TAG, MANUALLY_CHANGED)
    segment.SetTag(EDITED_TAG, "true")
    tagMask(segmentationNode, segmentId)


def tagReviewed(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, *, reviewed: bool) -> None:
    """Tag a segment as reviewed, or as in progress again; Slicer's own segment tables show that, too."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    segment.SetTag(STATUS_TAG, COMPLETED if reviewed else IN_PROGRESS)


def tagAccepted(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, marks: str) -> None:
    """Tag a segment with the lesions that a person has accepted; see `lesion_review`."""
    _setTag(segmentationNode.GetSegmentation().GetSegment(segmentId), ACCEPTED_TAG, marks)


def tagLoss(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, taker: str) -> None:
    """Tag a segment that lost voxels to another one, `taker` by name. Manually drawn segments have no tags."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if not tagOf(segment, PROMPT_TAG):
        return
    said = tagOf(segment, NOTE_TAG)
    note = _lossNote(taker)
    _setTag(segment, NOTE_TAG, format_notes((said, note) if said and note not in said else (said or note,)))
    tagMask(segmentationNode, segmentId)


def tagReturn(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, taker: str) -> None:
    """Undo `tagLoss` of a segment that got its voxels back."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if tagOf(segment, PROMPT_TAG):
        said = (tagOf(segment, NOTE_TAG) or "").replace(_lossNote(taker), "")
        _setTag(segment, NOTE_TAG, " ".join(said.split()))
        tagMask(segmentationNode, segmentId)


def _lossNote(taker: str) -> str:
    return f"Voxels went to {taker}."


def tagMask(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, mask: slicer.vtkOrientedImageData | None = None
) -> float:
    """Tag a segment with the size of its mask, which nobody has reviewed yet; returns its volume in ml."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    image = mask if mask is not None else orientedImageFromSegment(segmentationNode, segmentId)
    volumeMl = countVoxels(image) * voxelVolumeMl(image)
    segment.SetTag(VOLUME_TAG, format_volume(volumeMl))
    if tagOf(segment, STATUS_TAG) == COMPLETED:
        segment.SetTag(STATUS_TAG, IN_PROGRESS)
    return volumeMl


def _setTag(segment: slicer.vtkSegment, name: str, value: str) -> None:
    if value:
        segment.SetTag(name, value)
    else:
        segment.RemoveTag(name)
