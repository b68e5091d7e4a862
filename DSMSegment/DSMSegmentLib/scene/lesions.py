"""Lesions of a segment: measured on its own grid, and removed one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray, Index3
from dsm.core.click import nearest_voxel
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from DSMSegmentLib.scene.mrml import (
    affineInSegmentation,
    arrayIJK,
    cropFromOrientedImage,
    geometryOf,
    ijkToRAS,
    orientedImageFromSegment,
    segmentLayer,
    setSegmentMask,
)
from DSMSegmentLib.scene.segment_tags import isEditedByHand, isWithoutRun, promptOf
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment
from DSMSegmentLib.scene.tag_writer import tagEdited

if TYPE_CHECKING:
    from dsm.inference.lesion_list import LabelledLesions, MeasuredLesion

# Elements of the affines of one grid, in mm.
_TOLERANCE = 1e-3


def hasLesions(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Return whether a segment is that of a tumor or another abnormality, by its prompt."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    prompt = promptOf(segment) if segment is not None else None
    return prompt is not None and prompt.kind == "tumor"


def lesionsOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, *, most: int | None = None
) -> list[MeasuredLesion]:
    """Measure the lesions of a segment, the largest first, in the frame of its segmentation.

    Voxels and slices are counted on the grid of the scan, or, where the segment has another grid, from the corner of
    its mask. Intensities are those of the nearest voxels of the scan, not a number (NaN) for lesions that leave it.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        most: Number of lesions to measure at most.

    Raises:
        GeometryError: If scan and segmentation have different non-linear transforms.
    """
    from dsm.inference.lesion_list import list_lesions  # late: SciPy would make the start of Slicer slower

    image = orientedImageFromSegment(segmentationNode, segmentId)
    if image.GetNumberOfPoints() == 0:
        return []
    mask, intensities, affine = _onGrid(image, segmentationNode, volumeOfSegment(segmentationNode, segmentId))
    return list_lesions(mask, intensities, affine, most=most)


@dataclass(frozen=True, eq=False)
class KeptLesions:
    """Lesions of a segment before it was clicked, to be kept; a copy that any thread may read.

    Args:
        mask: On the grid of the scan.
        isEdited: Whether the segment was edited by hand: then clicks add to it and replace nothing.
    """

    mask: CroppedArray
    isEdited: bool

    def addedTo(self, result: PromptResult, volume: Volume) -> PromptResult:
        """Return the result of clicks with the lesions that stay: those that were not clicked, or all.

        Args:
            result: Of a prompt with clicks.
            volume: Clicked.
        """
        if not result.found:
            return result
        clicked = [nearest_voxel(click, volume) for click in result.prompt.clicks]
        kept = self.mask if self.isEdited else self._labelled.unclicked(clicked, result.mask)
        mask = result.mask.union(kept)
        return replace(result, mask=mask, volume_ml=volume.ml_of(mask.num_voxels))

    @cached_property
    def _labelled(self) -> LabelledLesions:
        from dsm.inference.lesion_list import LabelledLesions  # late, as in `lesionsOf`

        return LabelledLesions(self.mask)


def keepsLesions(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLScalarVolumeNode
) -> bool:
    """Return whether lesions of a segment that are not clicked can stay: of a tumor, on the grid of the scan."""
    layer = segmentLayer(segmentationNode.GetSegmentation().GetSegment(segmentId))
    if layer is None or not hasLesions(segmentationNode, segmentId):
        return False
    return _isOnGrid(layer, volumeNode, affineInSegmentation(ijkToRAS(volumeNode), volumeNode, segmentationNode))


def keptLesions(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLScalarVolumeNode
) -> KeptLesions | None:
    """Return the lesions of a segment that is about to be clicked, a copy; None where none can be kept."""
    if not keepsLesions(segmentationNode, segmentId, volumeNode):
        return None
    image = orientedImageFromSegment(segmentationNode, segmentId)
    if image.GetNumberOfPoints() == 0:
        return None
    mask = cropFromOrientedImage(image)
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    isEdited = isEditedByHand(segment) or isWithoutRun(segment)
    return KeptLesions(CroppedArray(mask.array.copy(order="K"), mask.offset_ijk), isEdited=isEdited)


def noteOnSlices(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> str:
    """Return remarks for the reader of the diameters of a segment, in sentences; empty as a rule."""
    from dsm.inference.lesion_list import axial_slices

    layer = segmentLayer(segmentationNode.GetSegmentation().GetSegment(segmentId))
    return axial_slices(geometryOf(layer)).note if layer is not None else ""


def removeLesion(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, voxel: Index3) -> bool:
    """Remove the lesion that has a voxel, as `lesionsOf` counts voxels; other lesions and segments stay.

    Returns:
        False if the segment has no such voxel (any more): nothing is changed.
    """
    from dsm.inference.lesion_list import lesion_at

    image = orientedImageFromSegment(segmentationNode, segmentId)
    if image.GetNumberOfPoints() == 0:
        return False
    mask, *_ = _onGrid(image, segmentationNode, volumeOfSegment(segmentationNode, segmentId))
    lesion = lesion_at(mask, voxel)
    if lesion.array.size == 0:
        return False
    left = mask.difference(lesion).array
    arrayIJK(image)[:] = left
    if left.any():
        setSegmentMask(segmentationNode, segmentId, image)
    else:
        segmentationNode.GetSegmentation().ClearSegment(segmentId)
    tagEdited(segmentationNode, segmentId)
    return True


def _onGrid(
    image: slicer.vtkOrientedImageData,
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNode: slicer.vtkMRMLScalarVolumeNode | None,
) -> tuple[CroppedArray, np.ndarray, np.ndarray]:
    """Return a mask, the intensities of its grid `[I, J, K]`, and the affine from that to the segmentation's frame."""
    affine = geometryOf(image)
    start = np.array(image.GetExtent()[::2])
    array, grid = None, None
    if volumeNode is not None and volumeNode.GetImageData() is not None:
        array = arrayIJK(volumeNode.GetImageData())
        grid = affineInSegmentation(ijkToRAS(volumeNode), volumeNode, segmentationNode)
        if _isOnGrid(image, volumeNode, grid):
            return cropFromOrientedImage(image), array, grid
    affine[:3, 3] += affine[:3, :3] @ start
    mask = CroppedArray(arrayIJK(image), (0, 0, 0))
    return mask, _sampled(mask.array, affine, array, grid), affine


def _isOnGrid(image: slicer.vtkOrientedImageData, volumeNode: slicer.vtkMRMLScalarVolumeNode, grid: np.ndarray) -> bool:
    """Return whether the voxels of a mask are voxels of a scan, whose affine in the frame of the mask is given."""
    start, last = np.reshape(image.GetExtent(), (3, 2)).T
    shape = volumeNode.GetImageData().GetDimensions()
    return bool(np.allclose(geometryOf(image), grid, atol=_TOLERANCE) and start.min() >= 0 and (last < shape).all())


def _sampled(mask: np.ndarray, affine: np.ndarray, array: np.ndarray | None, grid: np.ndarray | None) -> np.ndarray:
    """Return the intensities of the nearest voxels of the scan, within a mask; NaN where there is no scan."""
    sampled = np.full(mask.shape, np.nan, np.float32)
    if array is None or grid is None:
        return sampled
    voxels = np.argwhere(mask)
    toScan = np.linalg.inv(grid) @ affine
    nearest = np.floor(voxels @ toScan[:3, :3].T + toScan[:3, 3] + 0.5).astype(int)
    isInside = ((nearest >= 0) & (nearest < array.shape)).all(axis=1)
    sampled[tuple(voxels[isInside].T)] = array[tuple(nearest[isInside].T)]
    return sampled
