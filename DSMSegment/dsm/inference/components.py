"""Connected parts of a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dsm.core.boxes import bounding_box

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
    # Most masks are small, in a small corner of the body.
    box = bounding_box(mask) if fraction > 0 else None
    if box is None:
        return mask
    inside = mask[box.slices]
    parts, count = label_parts(inside)
    if count < 2:
        return mask
    sizes = np.bincount(parts[inside], minlength=count + 1)
    kept = np.zeros_like(mask)
    kept[box.slices] = parts == sizes.argmax() if fraction >= 1 else (sizes >= fraction * sizes.max())[parts]
    return kept


def drop_specks(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Drop the connected parts of fewer than `smallest` voxels, unless no part is larger; bool `[I, J, K]`."""
    box = bounding_box(mask) if smallest > 1 else None
    if box is None:
        return mask
    inside = mask[box.slices].astype(bool, copy=False)
    parts, _ = label_parts(inside)
    sizes = np.bincount(parts[inside])
    kept = np.zeros(mask.shape, dtype=bool)
    kept[box.slices] = inside & (sizes >= min(smallest, sizes.max()))[parts]
    return kept


def label_parts(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected parts of a mask from 1; return how many there are, too. Corners connect."""
    if cc3d is None:
        parts, count = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    else:
        parts, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    return np.asarray(parts), int(count)
