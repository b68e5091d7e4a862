"""Lung masks from the air inside the chest: a pseudo-label for CT sets that annotate no lungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

# In 8-bit sources the window ends at -125 HU, so only "as dark as air" can be told; fat is kept out by the opening.
_AIR = 0.02
_SOFT_TISSUE = 0.15
_OPENING_MM = 4.0
_SMALLEST_LUNG_ML = 100.0
_BOTH_SIDES = 0.2


def lungs_from_air(image: np.ndarray, spacing_mm: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Find the right and the left lung of an abdominal or chest CT.

    Air inside the body counts as lung where it is large and reaches the top of the scan; gas in the bowel does not.

    Args:
        image: Intensities in [0, 1], window from -125 HU, `[I, J, K]` in RAS order.
        spacing_mm: Voxel size.

    Returns:
        Right and left lung, bool `[I, J, K]`; empty where none was found.

    Note:
        A pseudo-label: vessels are included, the trachea may be, lung filled with fluid is not.
    """
    body = filled_slices(_largest(image > _SOFT_TISSUE))
    radius = [max(1, round(_OPENING_MM / 2 / mm)) for mm in spacing_mm]
    ball = np.ones([2 * r + 1 for r in radius], dtype=bool)
    air = ndimage.binary_opening(body & (image < _AIR), structure=ball)
    parts, count = ndimage.label(air)
    volumes_ml = ndimage.sum_labels(air, parts, np.arange(1, count + 1)) * np.prod(spacing_mm) / 1000
    reaches_top = set(np.unique(parts[:, :, -2:])) - {0}
    lungs = np.isin(parts, [p for p in reaches_top if volumes_ml[p - 1] >= _SMALLEST_LUNG_ML])
    lungs = ndimage.binary_closing(lungs, structure=ball) & body
    middle = round(float(ndimage.center_of_mass(body)[0])) if body.any() else 0
    return _side(lungs, middle, right=True), _side(lungs, middle, right=False)


def _side(lungs: np.ndarray, middle: int, *, right: bool) -> np.ndarray:
    """Components that lie on one side; one that spans both is cut in the middle."""
    parts, count = ndimage.label(lungs)
    half = np.zeros_like(lungs)
    half[middle:] = True  # RAS: i grows to the right
    half = half if right else ~half
    found = np.zeros_like(lungs)
    for part in range(1, count + 1):
        component = parts == part
        share = half[component].mean()
        if share > 1 - _BOTH_SIDES:
            found |= component
        elif share > _BOTH_SIDES:
            found |= component & half
    return found


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    return np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def filled_slices(mask: np.ndarray) -> np.ndarray:
    """Return a mask `[I, J, K]` with the holes of each axial slice filled."""
    return np.stack([ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)
