"""Navigation of the slice views to a segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from DSMSegmentLib.scene.mrml import arrayFromMatrix, cropFromOrientedImage, orientedImageFromSegment


def jumpToLargestSlice(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> tuple[float, ...] | None:
    """Move all slice views to the middle of the segment, in the slice where its area is largest.

    Returns:
        The position in world RAS millimetres; None for an empty segment.
    """
    image = orientedImageFromSegment(segmentationNode, segmentId)
    crop = cropFromOrientedImage(image).array
    if not crop.any():
        return None
    # The last axis is the one of the slices in almost all CT and MR volumes.
    k = int(np.argmax(np.count_nonzero(crop, axis=(0, 1))))
    i, j = (float(np.median(axis)) for axis in np.nonzero(crop[:, :, k]))
    start = image.GetExtent()[0::2]
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    position = (arrayFromMatrix(matrix) @ [i + start[0], j + start[1], k + start[2], 1.0])[:3].tolist()
    return jumpTo(segmentationNode, position)


def jumpTo(segmentationNode: slicer.vtkMRMLSegmentationNode, position: Sequence[float]) -> tuple[float, ...]:
    """Move all slice views to a position in the frame of a segmentation; returns it in world RAS millimetres."""
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(segmentationNode.GetParentTransformNode(), None, toWorld)
    world = toWorld.TransformPoint(position)
    slicer.vtkMRMLSliceNode.JumpAllSlices(segmentationNode.GetScene(), *world)
    return tuple(world)
