"""Source volume of each segment: a segmentation may get segments of several volumes."""

from __future__ import annotations

import itertools

import slicer

from dsm.core.segment_tags import SOURCE_TAG, SOURCE_VOLUME_TAG
from DSMSegmentLib.scene.placement import volumeOf
from DSMSegmentLib.scene.segment_tags import tagOf

# One reference a volume, by number. The tag of a segment names its reference: a copy of the tag comes back with Undo,
# and the reference keeps its volume when ids change, as they do when a scene is added to another.
_ROLE = "DSMSegment.Volume."


def noteVolume(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> None:
    """Record the source volume of a segment, unless it is that of the segmentation."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if volumeNode is volumeOf(segmentationNode):
        segment.RemoveTag(SOURCE_VOLUME_TAG)
    else:
        segment.SetTag(SOURCE_VOLUME_TAG, _roleOf(segmentationNode, volumeNode))


def volumeOfSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Return the source volume of a segment; None if it is not in the scene (any more)."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    role = _roleIn(segment)
    return segmentationNode.GetNodeReference(role) if role else volumeOf(segmentationNode)


def isOfAnotherVolume(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Return whether a segment's source volume differs from that of the segmentation."""
    return bool(_roleIn(segmentationNode.GetSegmentation().GetSegment(segmentId)))


def _roleIn(segment: slicer.vtkSegment) -> str:
    """Return the node reference role that a segment names; empty where it is of the volume of its segmentation."""
    former = tagOf(segment, SOURCE_TAG)  # before 0.2.0; says where the result came from since
    return tagOf(segment, SOURCE_VOLUME_TAG) or (former if former.startswith(_ROLE) else "")


def _roleOf(node: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode) -> str:
    """Return the node reference role of a volume, created if needed. The role of a removed volume is not reused."""
    segmentation = node.GetSegmentation()
    named = {_roleIn(segmentation.GetSegment(segmentId)) for segmentId in segmentation.GetSegmentIDs()}
    for number in itertools.count(1):
        role = f"{_ROLE}{number}"
        referenced = node.GetNodeReference(role)
        if referenced is volumeNode:
            break
        if referenced is None and role not in named:
            node.SetNodeReferenceID(role, volumeNode.GetID())
            break
    return role
