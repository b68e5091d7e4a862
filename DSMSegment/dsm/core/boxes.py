"""Boxes of voxels, and arrays that are stored only inside their box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from dsm.errors import ShapeError

Index3 = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of voxels, `start <= (i, j, k) < stop`.

    A box may be empty and may reach outside a grid until `clip` cuts it.

    Args:
        start: First voxel `(i, j, k)` inside.
        stop: First voxel outside, along each axis.

    Raises:
        ShapeError: If `stop` lies before `start` along an axis.

    Example:
        >>> Box((2, 0, 1), (4, 5, 3)).grow(1).clip((4, 5, 6))
        Box(start=(1, 0, 0), stop=(4, 5, 4))
    """

    start: Index3
    stop: Index3

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _index3(self.start))
        object.__setattr__(self, "stop", _index3(self.stop))
        if any(b < a for a, b in zip(self.start, self.stop, strict=True)):
            raise ShapeError(f"The box ends before it starts: {self.start} to {self.stop}.", code="input.box")

    @property
    def size(self) -> Index3:
        """Voxels along i, j, k."""
        i, j, k = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return i, j, k

    @property
    def num_voxels(self) -> int:
        """Voxels inside."""
        i, j, k = self.size
        return i * j * k

    @property
    def corners(self) -> np.ndarray:
        """The eight corners as voxel indices, `(8, 3)`."""
        return np.array(list(product(*zip(self.start, self.stop, strict=True))))

    @property
    def is_empty(self) -> bool:
        """True if the box contains no voxel."""
        return self.num_voxels == 0

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index expression for an `[I, J, K]` array.

        Raises:
            ShapeError: If the box starts before voxel 0, where NumPy would count from the far end.
        """
        if min(self.start) < 0:
            raise ShapeError(f"The box starts outside of the grid: {self.start}.", code="input.box", hint="Clip it.")
        i, j, k = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return i, j, k

    def intersect(self, other: Box) -> Box:
        """Return the voxels that lie in both boxes; an empty box where there are none."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(a, min(b, c)) for a, b, c in zip(start, self.stop, other.stop, strict=True))
        return Box(_index3(start), _index3(stop))

    def grow(self, margin: int | Sequence[int]) -> Box:
        """Return the box with `margin` more voxels on both sides: one number, or one per axis."""
        margins = (margin, margin, margin) if isinstance(margin, int) else _index3(margin)
        start = tuple(a - m for a, m in zip(self.start, margins, strict=True))
        stop = tuple(b + m for b, m in zip(self.stop, margins, strict=True))
        return Box(_index3(start), _index3(stop))

    def clip(self, shape: Sequence[int]) -> Box:
        """Return the part inside a grid of `shape` `(I, J, K)`."""
        return self.intersect(Box((0, 0, 0), _index3(shape)))


@dataclass(frozen=True, slots=True, eq=False)
class CroppedArray:
    """An array that is zero outside a box, and stored only inside it.

    Args:
        array: Values `[i, j, k]` inside the box; may be empty.
        offset_ijk: Voxel of the full grid where `array[0, 0, 0]` lies.

    Raises:
        ShapeError: If `array` is not 3-D or the offset is negative.
    """

    array: np.ndarray
    offset_ijk: Index3

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset_ijk", _index3(self.offset_ijk))
        if self.array.ndim != 3:
            raise ShapeError(f"The array has {self.array.ndim} axes; 3 are needed.", code="input.axes")
        if min(self.offset_ijk) < 0:
            raise ShapeError(f"The offset {self.offset_ijk} lies outside of the grid.", code="input.box")

    @classmethod
    def from_mask(cls, mask: np.ndarray, offset_ijk: Sequence[int] = (0, 0, 0)) -> CroppedArray:
        """Crop a mask to its non-zero voxels (a view); an array of no voxels where there are none.

        Args:
            mask: `[I, J, K]`.
            offset_ijk: Voxel of the full grid where `mask[0, 0, 0]` lies.
        """
        box = bounding_box(mask) or Box((0, 0, 0), (0, 0, 0))
        i, j, k = (a + b for a, b in zip(box.start, offset_ijk, strict=True))
        return cls(mask[box.slices], (i, j, k))

    @property
    def box(self) -> Box:
        """Box of the array in the full grid."""
        i, j, k = (o + s for o, s in zip(self.offset_ijk, self.array.shape, strict=True))
        return Box(self.offset_ijk, (i, j, k))

    @property
    def num_voxels(self) -> int:
        """Voxels that are not 0."""
        return int(np.count_nonzero(self.array))

    def inside(self, region: Box) -> CroppedArray:
        """Return the part that lies in `region` (a view); an array of no voxels where they do not meet."""
        box = self.box.intersect(region)
        if box.is_empty:
            return CroppedArray(self.array[:0, :0, :0], (0, 0, 0))
        return CroppedArray(self.array[_slices_from(self.offset_ijk, box)], box.start)

    def value_at(self, voxel: Index3) -> Any:
        """Return the value of a voxel of the full grid, 0 outside the box."""
        i, j, k = (n - start for n, start in zip(voxel, self.offset_ijk, strict=True))
        is_in_box = min(i, j, k) >= 0 and all(n < size for n, size in zip((i, j, k), self.array.shape, strict=True))
        return self.array[i, j, k] if is_in_box else 0

    def holds(self, voxel: Index3) -> bool:
        """Return whether a voxel of the full grid is not 0."""
        return bool(self.value_at(voxel))

    def union(self, other: CroppedArray) -> CroppedArray:
        """Return the voxels that are not 0 in this mask or another one, uint8."""
        masks = [mask for mask in (self, other) if mask.array.size]
        if not masks:
            return other
        start = _index3(np.min([mask.box.start for mask in masks], axis=0))
        whole = Box(start, _index3(np.max([mask.box.stop for mask in masks], axis=0)))
        array = np.zeros(whole.size, np.uint8, order="F")  # as `paste_into`
        for mask in masks:
            array[_slices_from(start, mask.box)] |= mask.array != 0
        return CroppedArray(array, start)

    def difference(self, other: CroppedArray) -> CroppedArray:
        """Return the voxels that are not 0 in this mask and 0 in another one, uint8."""
        array = (self.array != 0).astype(np.uint8)
        common = other.inside(self.box)
        if common.array.size:
            array[_slices_from(self.offset_ijk, common.box)][common.array != 0] = 0
        return CroppedArray(array, self.offset_ijk)

    def paste_into(self, shape: Sequence[int]) -> np.ndarray:
        """Return the full array of `shape` `(I, J, K)`, zero outside the box, in the dtype of the crop.

        Raises:
            ShapeError: If the box does not lie inside the grid.
        """
        if self.box.clip(shape) != self.box:
            raise ShapeError(f"The box {self.box} reaches outside of the grid {tuple(shape)}.", code="input.box")
        # Column-major as the volumes that are read from files: i runs fastest, so writers need no transposed copy.
        full = np.zeros(_index3(shape), dtype=self.array.dtype, order="F")
        full[self.box.slices] = self.array
        return full


def bounding_box(mask: np.ndarray) -> Box | None:
    """Find the smallest box that holds every non-zero voxel.

    The axis of the largest stride is searched first, and only what lies between its ends is looked at again: a
    512×512×300 mask takes milliseconds in either memory order.

    Args:
        mask: `[I, J, K]`, any dtype; non-zero is inside.

    Returns:
        The box, or None when the mask is empty.
    """
    if mask.ndim != 3:
        raise ShapeError(f"The mask has {mask.ndim} axes; 3 are needed.", code="input.axes")
    if mask.size == 0:
        return None
    order = sorted(range(3), key=lambda axis: -abs(mask.strides[axis]))
    slabs = mask.transpose(order)
    occupied = np.flatnonzero(_has_any(slabs))
    if not len(occupied):
        return None
    first, last = occupied[0], occupied[-1]
    shadow = _project(slabs[first : last + 1])
    rows = np.flatnonzero(shadow.any(axis=1))
    columns = np.flatnonzero(shadow.any(axis=0))
    start, stop = [0, 0, 0], [0, 0, 0]
    bounds = ((first, last), (rows[0], rows[-1]), (columns[0], columns[-1]))
    for axis, (low, high) in zip(order, bounds, strict=True):
        start[axis], stop[axis] = int(low), int(high) + 1
    return Box(_index3(start), _index3(stop))


def _slices_from(offset_ijk: Index3, box: Box) -> tuple[slice, slice, slice]:
    """Return the slices of a box of the full grid in an array that begins at an offset."""
    i, j, k = (slice(a - o, b - o) for a, b, o in zip(box.start, box.stop, offset_ijk, strict=True))
    return i, j, k


def _has_any(slabs: np.ndarray) -> np.ndarray:
    """Return which slabs along the first axis are not empty; bytes are viewed as booleans, whose `any` is fast."""
    if slabs.dtype in (np.uint8, np.int8):
        slabs = slabs.view(np.bool_)
    return np.asarray(slabs.any(axis=(1, 2)))


def _project(slabs: np.ndarray) -> np.ndarray:
    """Non-zero along the first axis, `[A, B, C]` to `[B, C]`."""
    # A bitwise "or" keeps bytes that are neither 0 nor 1 exact, which a boolean view would not.
    union = np.bitwise_or if slabs.dtype.kind in "biu" else np.logical_or
    return np.asarray(union.reduce(slabs, axis=0))


def _index3(values: Sequence[int]) -> Index3:
    if len(values) != 3:
        raise ShapeError(f"Three numbers are needed, one an axis, not {len(values)}.", code="input.axes")
    i, j, k = (int(value) for value in values)
    return i, j, k
