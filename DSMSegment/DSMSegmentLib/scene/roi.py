"""Conversion of a Markups ROI to a box of voxels."""

from __future__ import annotations

from itertools import product

import numpy as np
import slicer
import vtk

from dsm.core.boxes import Box
from dsm.errors import InputError
from DSMSegmentLib.scene.mrml import ijkToRAS


def boxFromRoi(roiNode: slicer.vtkMRMLMarkupsROINode, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> Box:
    """Return the voxels of a volume that an ROI touches: the smallest box around its eight corners.

    Args:
        roiNode: In any orientation, under any transform.
        volumeNode: Whose voxels are meant.

    Raises:
        InputError: If the ROI was not placed yet, or does not touch the volume.
    """
    if not any(roiNode.GetSize()):
        raise InputError(
            f"{roiNode.GetName()} was not placed yet.",
            code="input.roi",
            hint="Draw it over the volume in two views, or choose none.",
        )
    toIJK = np.linalg.inv(ijkToRAS(volumeNode))
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        roiNode.GetParentTransformNode(), volumeNode.GetParentTransformNode(), transform
    )
    corners = [toIJK[:3, :3] @ transform.TransformPoint(corner) + toIJK[:3, 3] for corner in _corners(roiNode)]
    shape = volumeNode.GetImageData().GetDimensions()
    # A voxel reaches half a step from its centre, which is what an index stands for.
    start = np.floor(np.min(corners, axis=0) + 0.5).astype(int)
    stop = np.floor(np.max(corners, axis=0) + 0.5).astype(int) + 1
    box = Box(tuple(start.tolist()), tuple(stop.tolist())).clip(shape)
    if box.is_empty:
        raise InputError(
            f"{roiNode.GetName()} lies outside of {volumeNode.GetName()}.",
            code="input.roi",
            hint="Move the ROI over the volume, or choose none.",
        )
    return box


def _corners(roiNode: slicer.vtkMRMLMarkupsROINode) -> list[tuple[float, float, float]]:
    """Return the corners in the ROI node's own RAS frame."""
    size = np.array(roiNode.GetSize())
    matrix = roiNode.GetObjectToNodeMatrix()
    return [
        matrix.MultiplyPoint((*(np.array(signs) * size / 2).tolist(), 1.0))[:3] for signs in product((-1, 1), repeat=3)
    ]
