"""Connected parts of a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

try:
    import cc3d
except ImportError:  # optional, a fifth of SciPy's time
    cc3d = None  # type: ignore[assignment]


def keep_large_parts(mask: np.ndarray, *, fraction: float) -> np.ndarray:
    """Keep the largest connected part, and those of at least `fraction` of its size.

    Voxels that touch at a corner are connected.

    Args:
        mask: `[I, J, K]`, bool or uint8.
        fraction: 1 keeps the largest part alone, 0 keeps everything.

    Returns:
        Bool, same shape.
    """
    mask = mask.astype(bool, copy=False)
    if fraction <= 0:
        return mask
    parts, count = label_parts(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    if fraction >= 1:
        return np.asarray(parts == sizes.argmax())
    return np.asarray((sizes >= fraction * sizes.max())[parts])


def label_parts(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected parts of a mask from 1; return how many there are, too. Corners connect."""
    if cc3d is None:
        parts, count = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    else:
        parts, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    return np.asarray(parts), int(count)
