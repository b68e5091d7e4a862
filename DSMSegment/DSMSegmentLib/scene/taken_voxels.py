"""Voxels that one segment took from others, to give them back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer

from dsm.core.boxes import Box, CroppedArray
from DSMSegmentLib.scene.mrml import (
    addVoxelsOutside,
    arrayIJK,
    geometryOf,
    orientedImageFromCrop,
    orientedImageFromSegment,
    resampleInto,
    segmentLayer,
    setSegmentMask,
)
from DSMSegmentLib.scene.placed_mask import PlacedMask

Taken = Mapping[str, slicer.vtkOrientedImageData]
_NOWHERE = Box((0, 0, 0), (0, 0, 0))


class TakenVoxels:
    """Voxels of other segments within a mask, to see which of them a change of the segmentation takes.

    Args:
        segmentationNode: Before the change.
        segmentId: Of the segment that takes them.
        image: Mask within which voxels can be taken.
    """

    def __init__(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        image: slicer.vtkOrientedImageData,
    ) -> None:
        self._node, self._segmentId = segmentationNode, segmentId
        mask = PlacedMask.of(image)
        self._inside = mask.voxels
        self._affine = geometryOf(image)
        self._affine[:3, 3] += self._affine[:3, :3] @ mask.start
        self._before = self._masks()

    def taken(self) -> Taken:
        """Return what was taken since, by segment id."""
        now = self._masks()
        lost = {other: mask & ~now.get(other, np.zeros_like(mask)) for other, mask in self._before.items()}
        return {other: self._image(mask) for other, mask in lost.items() if mask.any()}

    def _masks(self) -> dict[str, np.ndarray]:
        """Return masks of the other segments in the box of the mask; of those only that have voxels there.

        Layers are looked at and not segments, which are many: it takes milliseconds a layer.
        """
        segmentation = self._node.GetSegmentation()
        labels: dict[int, np.ndarray] = {}
        masks = {}
        for other in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(other)
            layer = segmentLayer(segment)
            if other == self._segmentId or layer is None or not layer.GetNumberOfPoints() or not self._inside.size:
                continue
            if id(layer) not in labels:
                grid = self._image(self._inside)
                resampleInto(grid, layer)
                labels[id(layer)] = np.where(self._inside, arrayIJK(grid), 0)
            mask = labels[id(layer)] == segment.GetLabelValue()
            if mask.any():
                masks[other] = mask
        return masks

    def _image(self, mask: np.ndarray) -> slicer.vtkOrientedImageData:
        return orientedImageFromCrop(CroppedArray(mask, (0, 0, 0)), self._affine)


def giveBack(segmentationNode: slicer.vtkMRMLSegmentationNode, taken: Taken) -> None:
    """Add taken voxels to the segments that had them, as far as these still exist."""
    for other, image in taken.items():
        if segmentationNode.GetSegmentation().GetSegment(other) is None:
            continue
        whole = orientedImageFromSegment(segmentationNode, other)
        if whole.GetNumberOfPoints():
            addVoxelsOutside(whole, image, _NOWHERE)
        else:
            whole.DeepCopy(image)
        setSegmentMask(segmentationNode, other, whole)
