"""The box around the patient: air outside it is never resampled or encoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dsm.core.boxes import Box, Index3, bounding_box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume

# Coarse enough to cost milliseconds, fine enough that the box is off by less than the margin.
_GRID_MM = 6.0
_MARGIN_MM, _INNER_MARGIN_MM = 9.0, 3.0
# Between air (-1000 HU) and fat (-100 HU); lung inside the body needs no care, the box spans it.
_CT_THRESHOLD_HU = -500.0
# Voxels that have exactly the lowest value: noise does not do that, clipping does.
_CLIPPED_AIR_FRACTION = 0.1
# Two legs, or the arms beside the trunk, are bodies too; the couch and the headrest are far smaller than this.
_SMALLEST_PART_FRACTION = 0.1


@dataclass(frozen=True, slots=True)
class Body:
    """Bounding box of the patient and the threshold that separates it from air.

    Args:
        box: Voxels of the input grid around the body, with a margin of 9 mm.
        inner: The same with a margin of 3 mm, which is how far off the coarse voxels may be.
        threshold: Intensity above which a voxel was taken for body.
    """

    box: Box
    inner: Box
    threshold: float


def find_body(volume: Volume) -> Body:
    """Find the body on every n-th voxel, about 6 mm apart.

    Args:
        volume: CT in HU, or MR in any unit.

    Returns:
        The body; the whole grid when nothing stands out from the background.
    """
    # In RAS+ order, so that the same voxels are looked at whatever the storage order is.
    orientation = Orientation.of(volume.affine)
    view = orientation.to_ras(volume.array)
    spacing_mm = [volume.spacing_mm[axis] for axis in orientation.axes]
    strides = _strides(spacing_mm)
    starts = [min(stride // 2, (length - 1) // 2) for stride, length in zip(strides, view.shape, strict=True)]
    coarse = view[tuple(slice(start, None, stride) for start, stride in zip(starts, strides, strict=True))]
    coarse = coarse.astype(np.float32)
    threshold = _ct_threshold(coarse) if volume.modality == "CT" else _mr_threshold(coarse)
    found = bounding_box(_large_parts(coarse > threshold))
    if found is None:
        whole = Box((0, 0, 0), volume.shape)
        return Body(whole, whole, threshold)
    box = Box(_scaled(found.start, strides), _scaled(found.stop, strides))
    wide, narrow = (
        box.grow([math.ceil(margin / spacing) for spacing in spacing_mm]).clip(view.shape)
        for margin in (_MARGIN_MM, _INNER_MARGIN_MM)
    )
    shape = volume.shape
    return Body(orientation.box_from_ras(wide, shape), orientation.box_from_ras(narrow, shape), threshold)


def _strides(spacing_mm: Sequence[float]) -> tuple[int, int, int]:
    i, j, k = (max(1, round(_GRID_MM / spacing)) for spacing in spacing_mm)
    return i, j, k


def _scaled(index: Index3, strides: Index3) -> Index3:
    i, j, k = (a * b for a, b in zip(index, strides, strict=True))
    return i, j, k


def _ct_threshold(coarse: np.ndarray) -> float:
    """-500 HU; in an image that was clipped above that, a little above its lowest value, which then stands for air."""
    low, high = float(coarse.min()), float(np.percentile(coarse, 99))
    if low > _CT_THRESHOLD_HU and np.count_nonzero(coarse == low) <= max(1, _CLIPPED_AIR_FRACTION * coarse.size):
        return low - 1.0  # cut out of the body: there is no air, and nothing to crop
    return max(_CT_THRESHOLD_HU, low + 0.05 * (high - low))


def _mr_threshold(coarse: np.ndarray) -> float:
    """Well below Otsu's threshold, which may fall between dark and bright tissue; noise is lower still."""
    low, high = (float(value) for value in np.percentile(coarse, (0, 99)))
    if high <= low:
        return low
    counts, edges = np.histogram(np.clip(coarse, low, high), bins=128, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * centres) / counts.sum()
    # Variance between the two classes (Otsu 1979), 0 where one class is empty.
    spread = weight * (1 - weight)
    between = np.divide((mean[-1] * weight - mean) ** 2, spread, out=np.zeros_like(mean), where=spread > 1e-9)
    # Every cut through an empty gap between the classes is as good as the next; the middle of the gap is stable.
    otsu = float(edges[1:][between >= 0.999 * between.max()].mean())
    return low + min(0.5 * (otsu - low), 0.12 * (high - low))


def _large_parts(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    return np.asarray((sizes >= _SMALLEST_PART_FRACTION * sizes.max())[parts])
