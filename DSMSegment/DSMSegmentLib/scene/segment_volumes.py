"""Which volume a segment was made on: a segmentation may get segments of other volumes than its own."""

from __future__ import annotations

import itertools

import slicer

from DSMSegmentLib.scene.placement import volumeOf
from DSMSegmentLib.scene.provenance import SOURCE_TAG
from DSMSegmentLib.scene.segment_tags import tagOf

# One reference a volume, by number. The tag of a segment names its reference: a copy of the tag comes back with Undo,
# and the reference keeps its volume when ids change, as they do when a scene is added to another.
_ROLE = "DSMSegment.Volume."


def noteVolume(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> None:
    """Remember which volume a segment was made on. Nothing is noted where that is the volume of the segmentation."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if volumeNode is volumeOf(segmentationNode):
        segment.RemoveTag(SOURCE_TAG)
    else:
        segment.SetTag(SOURCE_TAG, _roleOf(segmentationNode, volumeNode))


def volumeOfSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Return the volume that a segment was made on; None where it is not there (any more)."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    role = tagOf(segment, SOURCE_TAG)
    return segmentationNode.GetNodeReference(role) if role else volumeOf(segmentationNode)


def isOfAnotherVolume(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Whether a segment was made on another volume than that of the segmentation."""
    return bool(tagOf(segmentationNode.GetSegmentation().GetSegment(segmentId), SOURCE_TAG))


def _roleOf(node: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode) -> str:
    """Return the reference of a volume, made if need be. That of a volume that is gone is never given to another."""
    segmentation = node.GetSegmentation()
    named = {tagOf(segmentation.GetSegment(segmentId), SOURCE_TAG) for segmentId in segmentation.GetSegmentIDs()}
    for number in itertools.count(1):
        role = f"{_ROLE}{number}"
        referenced = node.GetNodeReference(role)
        if referenced is volumeNode:
            break
        if referenced is None and role not in named:
            node.SetNodeReferenceID(role, volumeNode.GetID())
            break
    return role
