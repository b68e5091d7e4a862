"""Skeleton by density: which voxels of a CT are bone, whatever bone it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from dsm.training.lungs_from_air import filled_slices

_BONE_HU = 220.0
_CLOSING_MM = 5.0  # over joints and marrow
_SMALLEST_ML = 15.0
# A component without such dense bone may be contrast agent. Where the scan is clipped lower, only the largest is bone.
_CORTEX_HU = 500.0


def skeleton_from_density(image_hu: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Find bones with their marrow.

    Args:
        image_hu: CT `[I, J, K]` in HU.
        spacing_mm: Voxel size.

    Returns:
        Bool `[I, J, K]`; metal is in it.
    """
    dense = ndimage.gaussian_filter(image_hu, [0.7 / mm for mm in spacing_mm]) > _BONE_HU
    steps = [max(1, round(_CLOSING_MM / 2 / mm)) for mm in spacing_mm]
    closed = ndimage.binary_closing(
        np.pad(dense, [(n, n) for n in steps]), structure=np.ones([2 * n + 1 for n in steps], dtype=bool)
    )[tuple(slice(n, -n) for n in steps)]
    parts, count = ndimage.label(filled_slices(closed))
    if not count:
        return np.zeros(image_hu.shape, dtype=bool)
    sizes_ml = np.bincount(parts.reshape(-1)) * float(np.prod(spacing_mm)) / 1000
    sizes_ml[0] = 0
    if image_hu.max() < _CORTEX_HU:
        kept = sizes_ml == sizes_ml.max()
    else:
        densest = np.concatenate([[0.0], ndimage.maximum(image_hu, parts, np.arange(1, count + 1))])
        kept = (sizes_ml >= _SMALLEST_ML) & (densest > _CORTEX_HU)
    return np.asarray(kept[parts])
