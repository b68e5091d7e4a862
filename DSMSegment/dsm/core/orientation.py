"""Axis order of a grid: any of the 48 orders to the nearest RAS+ order and back, without resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from dsm.core.boxes import Box, CroppedArray, Index3
from dsm.errors import GeometryError, ShapeError


@dataclass(frozen=True, slots=True)
class Orientation:
    """Axis permutation and flips that bring a grid nearest to RAS+.

    Reordering is a transpose and up to three flips, so nothing is interpolated and every voxel has one place on both
    grids. What is left of an oblique grid stays in the affine.

    Args:
        axes: Input axis that becomes axis 0 (right), 1 (anterior) and 2 (superior).
        flips: Whether that axis runs the other way (left, posterior, inferior).
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: np.ndarray) -> Orientation:
        """Find the orientation of a grid.

        Of the six pairings of axes the one with the largest sum of absolute cosines is taken: unlike picking the best
        axis one after the other, this cannot leave a bad one for last on a steeply oblique grid.

        Args:
            affine: `(4, 4)` from voxel index to RAS millimetres.

        Raises:
            GeometryError: If the affine is not finite or an axis has no length.
        """
        steps = np.asarray(affine, dtype=np.float64)[:3, :3]
        lengths = np.linalg.norm(steps, axis=0)
        if not np.isfinite(steps).all() or lengths.min() <= 0:
            raise GeometryError("The affine must be finite, with a spacing above zero.", code="geometry.singular")
        cosines = steps / lengths
        # `max` keeps the first of equals and the rounding keeps noise from choosing between them: at exactly 45 degrees
        # the same grid always gets the same order.
        right, anterior, superior = max(
            permutations(range(3)), key=lambda axes: round(sum(abs(cosines[row, axes[row]]) for row in range(3)), 9)
        )
        axes = (right, anterior, superior)
        x, y, z = (bool(cosines[row, axis] < 0) for row, axis in enumerate(axes))
        return cls(axes, (x, y, z))

    def shape_to_ras(self, shape: Sequence[int]) -> Index3:
        """Return the shape of the reordered array for an input of `shape`."""
        i, j, k = (int(shape[axis]) for axis in self.axes)
        return i, j, k

    def to_ras(self, array: np.ndarray) -> np.ndarray:
        """Return a view of `array` `[I, J, K]` in RAS+ order."""
        _check_axes(array)
        return np.asarray(array.transpose(self.axes)[self._steps()])

    def from_ras(self, array: np.ndarray) -> np.ndarray:
        """Return a view of an array in RAS+ order in the order of the input grid."""
        _check_axes(array)
        right, anterior, superior = np.argsort(self.axes).tolist()
        return np.asarray(array[self._steps()].transpose((right, anterior, superior)))

    def affine_to_ras(self, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return the affine of `to_ras(array)`.

        Args:
            affine: `(4, 4)` of the input grid, to RAS millimetres.
            shape: Of the input grid.
        """
        index_from_ras = np.zeros((4, 4))
        index_from_ras[3, 3] = 1.0
        for row, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            index_from_ras[axis, row] = -1.0 if flip else 1.0
            index_from_ras[axis, 3] = shape[axis] - 1 if flip else 0
        return np.asarray(affine, dtype=np.float64) @ index_from_ras

    def box_to_ras(self, box: Box, shape: Sequence[int]) -> Box:
        """Map a box of the input grid to the reordered grid; `shape` is the input grid's."""
        start, stop = [0, 0, 0], [0, 0, 0]
        for row, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            low, high = box.start[axis], box.stop[axis]
            start[row], stop[row] = (shape[axis] - high, shape[axis] - low) if flip else (low, high)
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def box_from_ras(self, box: Box, shape: Sequence[int]) -> Box:
        """Map a box of the reordered grid to the input grid; `shape` is the input grid's."""
        start, stop = [0, 0, 0], [0, 0, 0]
        for row, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            low, high = box.start[row], box.stop[row]
            start[axis], stop[axis] = (shape[axis] - high, shape[axis] - low) if flip else (low, high)
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def crop_from_ras(self, crop: CroppedArray, shape: Sequence[int]) -> CroppedArray:
        """Return a crop of the reordered grid as a crop of the input grid (a view); `shape` is the input grid's."""
        return CroppedArray(self.from_ras(crop.array), self.box_from_ras(crop.box, shape).start)

    def _steps(self) -> tuple[slice, slice, slice]:
        """Flips of the axes in RAS+ order, as an index expression."""
        x, y, z = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return x, y, z


def _check_axes(array: np.ndarray) -> None:
    if array.ndim != 3:
        raise ShapeError(f"The array has {array.ndim} axes; 3 are needed.", code="input.axes")
