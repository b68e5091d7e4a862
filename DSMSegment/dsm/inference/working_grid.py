"""Grid that the network sees, and the exact mapping to the input grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsm.core.boxes import Box, Index3
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume

# The deepest level of the network has a stride of 16 voxels (24 mm at 1.5 mm).
EDGE_MULTIPLE = 16
# A millionth of a voxel is rounding of the header, not a part of the body.
_ROUNDING = 1e-6


def snap_to_blocks(inner: Box, outer: Box, *, input_mm: Sequence[float], working_mm: float) -> Box:
    """Return the largest box between two that costs no more blocks of 16 working voxels than the smaller one.

    Args:
        inner: What must be inside.
        outer: What would be inside if it cost nothing; holds `inner`.
        input_mm: Voxel size of the grid of the boxes.
        working_mm: Voxel size of the network.
    """
    starts, stops = [], []
    for low, first, last, high, mm in zip(outer.start, inner.start, inner.stop, outer.stop, input_mm, strict=True):
        block = EDGE_MULTIPLE * working_mm / mm
        size = min(high - low, math.floor(block * math.ceil((last - first) / block - _ROUNDING) + _ROUNDING))
        start = min(max(low, first - (size - (last - first)) // 2), high - size)
        starts.append(start)
        stops.append(start + size)
    return Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))


@dataclass(frozen=True, slots=True)
class WorkingGrid:
    """A box of the input grid in RAS+ order, at the spacing of the network.

    Three grids meet here: the *input* grid `[I, J, K]` as it was read; its *view* in RAS+ order (a transpose and
    flips); and the *working* grid, whose voxel `w` has its centre at view coordinate `origin + step * w`.
    The outer faces of the first voxels of the box and of the working grid coincide.

    Args:
        orientation: From the input grid to its view.
        input_shape: Of the input grid.
        box: Part of the view that is encoded.
        origin: View coordinate of the centre of working voxel 0.
        step: View voxels from one working voxel to the next.
        shape: Working voxels that cover the box.
    """

    orientation: Orientation
    input_shape: Index3
    box: Box
    origin: tuple[float, float, float]
    step: tuple[float, float, float]
    shape: Index3

    @classmethod
    def of(cls, volume: Volume, box: Box, *, spacing_mm: float) -> WorkingGrid:
        """Make a grid of `spacing_mm` over `box` of the input grid of `volume`."""
        orientation = Orientation.of(volume.affine)
        view_box = orientation.box_to_ras(box, volume.shape)
        axes = [cls._lay(volume.spacing_mm[axis], spacing_mm) for axis in orientation.axes]
        origin = [start + first for start, (first, _) in zip(view_box.start, axes, strict=True)]
        shape = [max(1, math.ceil(n / step - _ROUNDING)) for n, (_, step) in zip(view_box.size, axes, strict=True)]
        return cls(
            orientation=orientation,
            input_shape=volume.shape,
            box=view_box,
            origin=(origin[0], origin[1], origin[2]),
            step=(axes[0][1], axes[1][1], axes[2][1]),
            shape=(shape[0], shape[1], shape[2]),
        )

    @staticmethod
    def _lay(input_mm: float, working_mm: float) -> tuple[float, float]:
        """Centre of the first working voxel after the face of the first input voxel, and the step."""
        step = working_mm / input_mm
        # A header that says 1.4999999 mm means 1.5: without this, its voxels would be interpolated for nothing.
        if abs(step - 1) < 1e-5:
            return 0.0, 1.0
        return 0.5 * step - 0.5, step

    @property
    def padded_shape(self) -> Index3:
        """`shape`, rounded up to multiples of 16: the input shape of the network."""
        i, j, k = (EDGE_MULTIPLE * math.ceil(n / EDGE_MULTIPLE) for n in self.shape)
        return i, j, k

    @property
    def view_shape(self) -> Index3:
        """Shape of the whole input grid in RAS+ order."""
        return self.orientation.shape_to_ras(self.input_shape)

    def input_sampling(self) -> tuple[Sequence[int], list[float], list[float]]:
        """Return how to sample the *input array* to get the working grid.

        The flips go into the sampling: a view with negative strides would have to be copied first.

        Returns:
            The input axis of each working axis, and `origin` and (signed) `step` of `dsm.ops.resample.resample` for the
            input array transposed to these axes.
        """
        origin, step = list(self.origin), list(self.step)
        for row, flip in enumerate(self.orientation.flips):
            if flip:
                origin[row] = self.view_shape[row] - 1 - origin[row]
                step[row] = -step[row]
        return self.orientation.axes, origin, step

    def feature_coordinates(self, axis: int, start: int, stop: int, *, stride: int) -> np.ndarray:
        """Return where view voxels lie on a feature grid of the network.

        Feature `f` of a grid of stride `s` stands for working voxels `s*f` to `s*f + s - 1`: its centre is at
        `s*f + (s - 1)/2`.

        Args:
            axis: Of the view.
            start: First view voxel.
            stop: First view voxel that is not asked for.
            stride: Working voxels a feature voxel.

        Returns:
            Feature coordinates, float64, `(stop - start,)`.
        """
        working = (np.arange(start, stop, dtype=np.float64) - self.origin[axis]) / self.step[axis]
        return np.asarray((working - (stride - 1) / 2) / stride)

    def view_range(self, axis: int, start: int, stop: int, *, stride: int, length: int) -> tuple[int, int]:
        """Return the view voxels whose centres lie between feature voxels `start` and `stop - 1`.

        At the border of the feature grid (of `length`) the range goes on to the border of the box, since features are
        repeated there.
        """
        low, high = self.box.start[axis], self.box.stop[axis]
        coordinates = self.feature_coordinates(axis, low, high, stride=stride)
        first = 0 if start <= 0 else int(np.searchsorted(coordinates, start, side="left"))
        last = len(coordinates) if stop >= length else int(np.searchsorted(coordinates, stop - 1, side="right"))
        return low + first, low + max(first, last)
