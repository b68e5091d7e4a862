"""Soft tissue by density: placement region of synthetic lesions in a CT outside of organs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_DENSITY_HU = (-10.0, 110.0)
_SMOOTHING_MM = 1.5  # noise would make holes
_OPENING_MM = 9.0  # vessels, skin and bowel wall are thinner


def soft_tissue_from_density(image_hu: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Find muscle and what looks like it: thick parts of -10 to 110 HU.

    Args:
        image_hu: CT `[I, J, K]` in HU.
        spacing_mm: Voxel size.

    Returns:
        Bool `[I, J, K]`.

    Note:
        A place for synthetic lesions, not a label: organs, fluid and bowel with contents are in it.
    """
    smooth = ndimage.gaussian_filter(image_hu, [_SMOOTHING_MM / mm for mm in spacing_mm])
    dense = (smooth > _DENSITY_HU[0]) & (smooth < _DENSITY_HU[1])
    radius = [max(1, round(_OPENING_MM / 2 / mm)) for mm in spacing_mm]
    return np.asarray(ndimage.binary_opening(dense, structure=np.ones([2 * r + 1 for r in radius], dtype=bool)))
