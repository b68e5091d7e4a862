"""Mask of a segment, cropped, with its place in the extents of its layer, which can be negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer

from dsm.core.boxes import bounding_box
from DSMSegmentLib.scene.mrml import arrayIJK


@dataclass(frozen=True, slots=True, eq=False)
class PlacedMask:
    """Voxels of one segment.

    Args:
        start: Index of `voxels[0, 0, 0]` in the image that it is of, as its extents count; zeros without voxels.
        voxels: bool `[I, J, K]`, no larger than it has to be.
    """

    start: tuple[int, ...]
    voxels: np.ndarray

    @classmethod
    def of(cls, image: slicer.vtkOrientedImageData, label: int | None = None) -> PlacedMask:
        """Crop the voxels of a label, or all that are not 0, out of an image (a copy)."""
        array = arrayIJK(image) if image.GetNumberOfPoints() else np.zeros((0, 0, 0), np.uint8)
        mask = array != 0 if label is None else array == label
        box = bounding_box(mask)
        if box is None:
            return cls((0, 0, 0), np.zeros((0, 0, 0), bool))
        return cls(tuple(int(a + b) for a, b in zip(image.GetExtent()[0::2], box.start, strict=True)), mask[box.slices])

    def isSameAs(self, other: PlacedMask) -> bool:
        """Return whether both have the same voxels, of images with the same geometry."""
        return self.start == other.start and np.array_equal(self.voxels, other.voxels)
