"""Lesions of a segment: measured on its own grid, and removed one by one."""

from __future__ import annotations

from collections.abc import Callable
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
    """Measure the lesions of a segment; see `lesionMeasurement`."""
    return lesionMeasurement(segmentationNode, segmentId, most=most)()


def lesionMeasurement(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, *, most: int | None = None
) -> Callable[[], list[MeasuredLesion]]:
    """Return a function that measures the lesions of a segment as it is now, on a copy: any thread may call it.

    The lesions are in the frame of the segmentation, the largest first. Voxels and slices are counted on the grid of
    the scan, or, where the segment has another grid, from the corner of its mask. Intensities are those of the nearest
    voxels of the scan, not a number (NaN) for lesions that leave it.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        most: Number of lesions to measure at most.

    Raises:
        GeometryError: If scan and segmentation have different non-linear transforms.
    """
    image = orientedImageFromSegment(segmentationNode, segmentId)
    if image.GetNumberOfPoints() == 0:
        return list
    found = _onGrid(image, segmentationNode, volumeOfSegment(segmentationNode, segmentId)).copy()

    def measure() -> list[MeasuredLesion]:
        from dsm.inference.lesion_list import measure_lesions  # late: SciPy would make the start of Slicer slower

        return measure_lesions(found.mask, found.intensities, found.affine, most=most)

    return measure


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
    mask = _onGrid(image, segmentationNode, volumeOfSegment(segmentationNode, segmentId)).mask
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


@dataclass(frozen=True, eq=False)
class _MaskOnGrid:
    """A mask and the scan that it was made on.

    Args:
        mask: Its voxels are counted on the grid of the scan, or from its own corner where it has another grid.
        affine: `(4, 4)` from these voxels to the frame of the segmentation.
        scan: Intensities: on the grid of the scan those of the mask's box, else all; None without a scan.
        toScan: `(4, 4)` from voxels of the mask to those of the scan; None on the grid of the scan.
    """

    mask: CroppedArray
    affine: np.ndarray
    scan: np.ndarray | None
    toScan: np.ndarray | None

    def copy(self) -> _MaskOnGrid:
        """Return the same, apart from the scene."""
        mask = CroppedArray(self.mask.array.copy(order="K"), self.mask.offset_ijk)
        scan = self.scan.copy(order="K") if self.scan is not None else None
        return replace(self, mask=mask, scan=scan)

    @property
    def intensities(self) -> np.ndarray:
        """Intensities of the voxels of the mask's array, those of the nearest voxels of the scan; NaN outside of it."""
        if self.scan is not None and self.toScan is None:
            return self.scan
        sampled = np.full(self.mask.array.shape, np.nan, np.float32)
        if self.scan is None or self.toScan is None:
            return sampled
        voxels = np.argwhere(self.mask.array)
        nearest = np.floor(voxels @ self.toScan[:3, :3].T + self.toScan[:3, 3] + 0.5).astype(int)
        isInside = ((nearest >= 0) & (nearest < self.scan.shape)).all(axis=1)
        sampled[tuple(voxels[isInside].T)] = self.scan[tuple(nearest[isInside].T)]
        return sampled


def _onGrid(
    image: slicer.vtkOrientedImageData,
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNode: slicer.vtkMRMLScalarVolumeNode | None,
) -> _MaskOnGrid:
    affine = geometryOf(image)
    start = np.array(image.GetExtent()[::2])
    array, toScan = None, None
    if volumeNode is not None and volumeNode.GetImageData() is not None:
        array = arrayIJK(volumeNode.GetImageData())
        grid = affineInSegmentation(ijkToRAS(volumeNode), volumeNode, segmentationNode)
        if _isOnGrid(image, volumeNode, grid):
            mask = cropFromOrientedImage(image)
            return _MaskOnGrid(mask, grid, array[mask.box.slices], None)
    affine[:3, 3] += affine[:3, :3] @ start
    if array is not None:
        toScan = np.linalg.inv(grid) @ affine
    return _MaskOnGrid(CroppedArray(arrayIJK(image), (0, 0, 0)), affine, array, toScan)


def _isOnGrid(image: slicer.vtkOrientedImageData, volumeNode: slicer.vtkMRMLScalarVolumeNode, grid: np.ndarray) -> bool:
    """Return whether the voxels of a mask are voxels of a scan, whose affine in the frame of the mask is given."""
    start, last = np.reshape(image.GetExtent(), (3, 2)).T
    shape = volumeNode.GetImageData().GetDimensions()
    return bool(np.allclose(geometryOf(image), grid, atol=_TOLERANCE) and start.min() >= 0 and (last < shape).all())
