"""Feature map values at single voxels of the input grid, for evaluation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from dsm.inference.working_grid import WorkingGrid


def values_at(features: Tensor, grid: WorkingGrid, voxels: np.ndarray) -> np.ndarray:
    """Interpolate trilinearly, as masks are; beyond the features the outermost ones are repeated.

    A map of the whole grid would cost hundreds of megabytes, where a ranking needs a sample of it.

    Args:
        features: `(I, J, K)` of any stride: the padded working grid divided by it.
        grid: Where they lie.
        voxels: Indices on the input grid `(n, 3)`.

    Returns:
        float32 `(n,)`.
    """
    stride = grid.padded_shape[0] // features.shape[0]
    coordinates = np.empty((3, len(voxels)))
    for row, (axis, flip) in enumerate(zip(grid.orientation.axes, grid.orientation.flips, strict=True)):
        index = voxels[:, axis].astype(np.float64)
        view = grid.view_shape[row] - 1 - index if flip else index
        working = (view - grid.origin[row]) / grid.step[row]
        # Features that stand for padding alone are never looked at.
        last = -(-grid.shape[row] // stride) - 1
        coordinates[row] = np.clip((working - (stride - 1) / 2) / stride, 0, last)
    values = ndimage.map_coordinates(features.float().cpu().numpy(), coordinates, order=1, mode="nearest")
    return np.asarray(values, dtype=np.float32)
