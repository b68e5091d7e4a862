"""Lesions of a mask, with what a radiologist measures of each: volume, diameters, intensity, place. Without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from dsm.core.boxes import CroppedArray, Index3
from dsm.core.volume import voxel_ml
from dsm.errors import ShapeError
from dsm.inference.components import component_boxes, component_sizes, label_components

Point = tuple[float, float, float]

# Pixels that touch at a corner are connected, those of two slices are not; slices are along the first axis.
_IN_SLICE = np.zeros((3, 3, 3), dtype=bool)
_IN_SLICE[1] = True
# Distances along a grid of pixels are often equal but for the rounding of their last digits.
_RELATIVE_ROUNDING = 1e-9
_DIGITS = 6
# Above which a reader should know that the slices are not axial, or that their pixels are long.
_MAX_TILT_DEG = 10.0
_MAX_ANISOTROPY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLesion:
    """A connected component of a mask: voxels that touch, if only at a corner.

    The diameters follow RECIST 1.1: the longest one in any slice, and the longest one perpendicular to it in the same
    slice. Slices are those of `axial_slices`. The outline runs midway between pixels inside and outside: a row of n
    pixels is n pixels long, and the longest diameter of a smooth lesion is half a pixel too long on average. Parts that
    are apart within a slice are measured apart, and dents of an outline are bridged.

    Args:
        volume_ml: Volume.
        longest_mm: Longest diameter.
        perpendicular_mm: Longest diameter perpendicular to it.
        slice_number: Slice of both, counted from 1 along the axis of the slices.
        mean: Mean intensity; HU for CT.
        sd: Standard deviation of the intensity.
        center_ras_mm: Centre of gravity, which may lie outside of a curved lesion.
        longest_ends_ras_mm: Ends of the longest diameter.
        perpendicular_ends_ras_mm: Ends of the diameter perpendicular to it.
        voxel_ijk: First voxel of the lesion on the grid of the scan; `lesion_at` finds the lesion by it.
    """

    volume_ml: float
    longest_mm: float
    perpendicular_mm: float
    slice_number: int
    mean: float
    sd: float
    center_ras_mm: Point
    longest_ends_ras_mm: tuple[Point, Point]
    perpendicular_ends_ras_mm: tuple[Point, Point]
    voxel_ijk: Index3

    @property
    def view_ras_mm(self) -> Point:
        """Middle of the longest diameter: where views of all planes show the lesion, and one its diameters."""
        (x0, y0, z0), (x1, y1, z1) = self.longest_ends_ras_mm
        return (x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2

    def cells(self) -> dict[str, float | int]:
        """Return volume, diameters, intensity, centre and slice by the names of their columns in a table."""
        right, anterior, superior = self.center_ras_mm
        return {
            "volume_ml": self.volume_ml,
            "longest_mm": self.longest_mm,
            "perpendicular_mm": self.perpendicular_mm,
            "mean": self.mean,
            "sd": self.sd,
            "center_r_mm": right,
            "center_a_mm": anterior,
            "center_s_mm": superior,
            "slice_number": self.slice_number,
        }

    def rounded(self) -> MeasuredLesion:
        """Return the lesion with the digits that mean something: 1 mm³, 0.1 mm, five digits of an intensity."""
        return MeasuredLesion(
            volume_ml=round(self.volume_ml, 3),
            longest_mm=round(self.longest_mm, 1),
            perpendicular_mm=round(self.perpendicular_mm, 1),
            slice_number=self.slice_number,
            mean=float(f"{self.mean:.5g}"),
            sd=float(f"{self.sd:.5g}"),
            center_ras_mm=_rounded(self.center_ras_mm),
            longest_ends_ras_mm=(_rounded(self.longest_ends_ras_mm[0]), _rounded(self.longest_ends_ras_mm[1])),
            perpendicular_ends_ras_mm=(
                _rounded(self.perpendicular_ends_ras_mm[0]),
                _rounded(self.perpendicular_ends_ras_mm[1]),
            ),
            voxel_ijk=self.voxel_ijk,
        )


@dataclass(frozen=True, slots=True)
class AxialSlices:
    """Slices of a grid that are nearest to axial, whatever its slices are as acquired.

    Args:
        axis: Axis of the grid that counts them: 0, 1 or 2 for i, j or k.
        tilt_deg: Angle between a slice and the axial plane.
        pixel_mm: Voxel size within a slice, along the other two axes.
    """

    axis: int
    tilt_deg: float
    pixel_mm: tuple[float, float]

    @property
    def note(self) -> str:
        """Remarks for the reader of the diameters, in sentences; empty as a rule."""
        notes = []
        if self.tilt_deg > _MAX_TILT_DEG:
            notes.append(
                f"Diameters are measured in slices that are tilted by {self.tilt_deg:.0f}° to the axial plane."
            )
        if max(self.pixel_mm) > _MAX_ANISOTROPY * min(self.pixel_mm):
            notes.append(f"Diameters are rough: {max(self.pixel_mm):.1f} mm a voxel along an axis of the axial plane.")
        return " ".join(notes)


@dataclass(frozen=True, slots=True)
class _Diameters:
    """Both diameters of a part of a slice, in mm along its two axes."""

    longest_mm: float
    perpendicular_mm: float
    longest_ends: np.ndarray
    perpendicular_ends: np.ndarray


def axial_slices(affine: np.ndarray) -> AxialSlices:
    """Return the slices of a grid that are nearest to axial.

    Args:
        affine: `(4, 4)` from voxel index to RAS mm, with axes at right angles.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = abs(affine[2, :3]) / spacing
    axis = int(cosines.argmax())
    first, second = (float(size) for size in np.delete(spacing, axis))
    return AxialSlices(axis, float(np.rad2deg(np.arccos(min(cosines[axis], 1.0)))), (first, second))


def list_lesions(
    mask: CroppedArray, array: np.ndarray, affine: np.ndarray, *, most: int | None = None
) -> list[MeasuredLesion]:
    """Measure the lesions of a mask, the largest first.

    Args:
        mask: Any number dtype, not 0 inside.
        array: Intensities of the scan `[I, J, K]`.
        affine: `(4, 4)` from its voxel index to RAS mm, with axes at right angles as in `Volume`.
        most: Number of lesions to measure at most, the largest ones; one takes a millisecond. All by default.

    Raises:
        ShapeError: If the mask reaches outside of the scan.

    Example:
        >>> mask = CroppedArray(np.ones((4, 2, 1)), (3, 3, 3))
        >>> (lesion,) = list_lesions(mask, np.full((9, 9, 9), 50.0), np.diag([1.0, 1.0, 5.0, 1.0]))
        >>> lesion.slice_number, round(lesion.longest_mm, 2), lesion.mean, round(lesion.volume_ml, 3)
        (4, 4.12, 50.0, 0.04)
    """
    if mask.box.clip(array.shape) != mask.box:
        raise ShapeError(f"The mask {mask.box} reaches outside of the scan {array.shape}.", code="input.box")
    return measure_lesions(mask, array[mask.box.slices], affine, most=most)


def measure_lesions(
    mask: CroppedArray, values: np.ndarray, affine: np.ndarray, *, most: int | None = None
) -> list[MeasuredLesion]:
    """Measure the lesions of a mask as `list_lesions` does, without the scan around the mask.

    Args:
        mask: Any number dtype, not 0 inside.
        values: Intensities, of the shape of the mask.
        affine: `(4, 4)` from the voxel index of the scan to RAS mm, with axes at right angles.
        most: Number of lesions to measure at most, the largest ones. All by default.
    """
    if mask.array.size == 0:
        return []
    is_inside = mask.array != 0
    parts, count = label_components(is_inside)
    sizes = component_sizes(parts, is_inside, count)[1:]
    boxes = component_boxes(parts)
    slices = axial_slices(affine)
    lesions = []
    for index in np.argsort(-sizes, kind="stable")[:most]:
        box = boxes[index]
        inside = parts[box] == index + 1
        start = np.array([edge.start for edge in box]) + mask.offset_ijk
        lesions.append(_measured(inside, start, values[box][inside], affine, slices))
    return lesions


def lesion_at(mask: CroppedArray, voxel_ijk: Index3) -> CroppedArray:
    """Return the lesion that has a voxel, uint8; an array of no voxels where the mask does not have it.

    Args:
        mask: Any number dtype, not 0 inside.
        voxel_ijk: On the grid of the scan.
    """
    if not mask.holds(voxel_ijk):
        return CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    parts, _ = label_components(mask.array != 0)
    number = CroppedArray(parts, mask.offset_ijk).value_at(voxel_ijk)
    return CroppedArray.from_mask((parts == number).astype(np.uint8), mask.offset_ijk)


@dataclass(frozen=True, eq=False)
class LabelledLesions:
    """Lesions of a mask that is clicked again and again: they are labelled once.

    Args:
        mask: Any number dtype, not 0 inside; it must not change.
    """

    mask: CroppedArray

    def unclicked(self, voxels: Iterable[Index3], clicked: CroppedArray) -> CroppedArray:
        """Return the lesions that were not clicked, uint8.

        Args:
            voxels: That were clicked, on the grid of the scan.
            clicked: Mask of the clicked lesion: those that share a voxel with it are other outlines of the same one.
        """
        labels, boxes = self._labels
        numbers = {int(labels.value_at(voxel)) for voxel in voxels}
        common = clicked.inside(self.mask.box)
        if common.array.size:
            numbers.update(np.unique(labels.inside(common.box).array[common.array != 0]).tolist())
        left = (self.mask.array != 0).astype(np.uint8)
        for number in numbers - {0}:
            box = boxes[number - 1]
            left[box][labels.array[box] == number] = 0
        return CroppedArray.from_mask(left, self.mask.offset_ijk)

    @cached_property
    def _labels(self) -> tuple[CroppedArray, list[tuple[slice, ...]]]:
        """Number of the lesion of each voxel, in the smallest dtype, and the box of each lesion within the mask."""
        parts, count = label_components(self.mask.array != 0)
        parts = parts.astype(np.min_scalar_type(count), copy=False)
        return CroppedArray(parts, self.mask.offset_ijk), component_boxes(parts)


def _measured(
    inside: np.ndarray, start: np.ndarray, values: np.ndarray, affine: np.ndarray, slices: AxialSlices
) -> MeasuredLesion:
    """Measure a lesion: `inside` is its bounding box, `start` the first voxel of that, `values` its intensities."""
    voxels = np.argwhere(inside) + start
    center = voxels.mean(axis=0)

    def rank(measured: tuple[int, _Diameters]) -> tuple[float, float, float]:
        number, one = measured
        # Of slices with equal diameters, as of a cylinder, the one in the middle.
        return (
            round(one.longest_mm, _DIGITS),
            round(one.perpendicular_mm, _DIGITS),
            -abs(number - center[slices.axis]),
        )

    number, found = max(_diameters_of_parts(inside, start, slices), key=rank)

    def in_ras(ends: np.ndarray) -> tuple[Point, Point]:
        ijk = np.insert(ends / slices.pixel_mm, slices.axis, number, axis=1)
        one, other = ijk @ affine[:3, :3].T + affine[:3, 3]
        return _point(one), _point(other)

    values = values.astype(np.float64)
    i, j, k = (int(index) for index in voxels[0])
    return MeasuredLesion(
        volume_ml=len(voxels) * voxel_ml(affine),
        longest_mm=found.longest_mm,
        perpendicular_mm=found.perpendicular_mm,
        slice_number=number + 1,
        mean=float(values.mean()),
        sd=float(values.std()),
        center_ras_mm=_point(affine[:3, :3] @ center + affine[:3, 3]),
        longest_ends_ras_mm=in_ras(found.longest_ends),
        perpendicular_ends_ras_mm=in_ras(found.perpendicular_ends),
        voxel_ijk=(i, j, k),
    )


def _rounded(point: Point) -> Point:
    x, y, z = (round(value, 1) for value in point)
    return x, y, z


def _point(position: np.ndarray) -> Point:
    x, y, z = (float(value) for value in position)
    return x, y, z


def _diameters_of_parts(inside: np.ndarray, start: np.ndarray, slices: AxialSlices) -> Iterator[tuple[int, _Diameters]]:
    """Yield the diameters of each connected part of each slice, with the index of the slice."""
    planes = np.moveaxis(inside, slices.axis, 0)
    parts, _ = ndimage.label(planes, _IN_SLICE)
    corner = np.delete(start, slices.axis)
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        pixels = parts[box][0] == label
        first = corner + [edge.start for edge in box[1:]]
        yield int(start[slices.axis]) + box[0].start, _diameters(_outline(pixels, first, slices.pixel_mm))


def _outline(pixels: np.ndarray, first: np.ndarray, pixel_mm: tuple[float, float]) -> np.ndarray:
    """Return points whose convex hull is that of the outline of a part of a slice, `(N, 2)`, in mm.

    They are the middles of the edges of the first and the last pixel of each row.
    """
    columns = np.stack([pixels.argmax(axis=1), pixels.shape[1] - 1 - pixels[:, ::-1].argmax(axis=1)], axis=1)
    outer = np.stack([np.arange(len(pixels)).repeat(2), columns.ravel()], axis=1) + first
    middles = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])
    points: np.ndarray = (outer[:, None] + middles).reshape(-1, 2) * pixel_mm
    return points


def _diameters(points: np.ndarray) -> _Diameters:
    """Return the longest diameter of the convex hull of points, and the longest one perpendicular to it."""
    hull = points[ConvexHull(points).vertices]
    distances = squareform(pdist(hull))
    longest = distances >= distances.max() * (1 - _RELATIVE_ROUNDING)
    # Several pairs may be equally far apart, as in a square: the diameter across decides.
    pairs = [hull[[a, b]] for a, b in np.argwhere(np.triu(longest))]
    return max((_with_perpendicular(hull, ends) for ends in pairs), key=lambda one: one.perpendicular_mm)


def _with_perpendicular(hull: np.ndarray, ends: np.ndarray) -> _Diameters:
    """Return a diameter and the longest chord of the hull perpendicular to it.

    The length of a chord is a concave function of its place, with its maximum at a corner of the hull. Both sides of
    the hull run from one end of the diameter to the other without turning back, since no two points are farther apart.
    """
    length = float(np.linalg.norm(ends[1] - ends[0]))
    along = (ends[1] - ends[0]) / length
    across = np.array([-along[1], along[0]])
    places, heights = (hull - ends[0]) @ along, (hull - ends[0]) @ across
    order = places.argsort()
    places, heights = places[order], heights[order]
    above, below = (
        np.interp(places, [0.0, *places[side], length], [0.0, *heights[side], 0.0])
        for side in (heights > _RELATIVE_ROUNDING * length, heights < -_RELATIVE_ROUNDING * length)
    )
    at = int((above - below).argmax())
    across_ends = ends[0] + places[at] * along + np.outer([below[at], above[at]], across)
    return _Diameters(length, float(above[at] - below[at]), ends, across_ends)
