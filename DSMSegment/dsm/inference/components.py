"""Connected components of a mask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from scipy import ndimage

from dsm.core.boxes import bounding_box

try:
    import cc3d
except ImportError:  # optional, a fifth of SciPy's time
    cc3d = None  # type: ignore[assignment]

# A comparison costs a tenth of gathering all voxels inside.
_FEW_PARTS = 8


def keep_large_components(mask: np.ndarray, *, fraction: float) -> np.ndarray:
    """Keep the largest connected component, and those of at least `fraction` of its size.

    Voxels that touch at a corner are connected.

    Args:
        mask: `[I, J, K]`, bool or uint8.
        fraction: 1 keeps the largest part alone, 0 keeps everything.

    Returns:
        Bool, same shape.
    """
    if fraction <= 0:
        return mask.astype(bool, copy=False)
    if fraction >= 1:
        return _chosen_parts(mask, lambda sizes: np.arange(len(sizes)) == sizes.argmax())
    return _chosen_parts(mask, lambda sizes: sizes >= fraction * sizes.max())


def remove_small_components(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Remove connected components of fewer than `smallest` voxels, unless none is larger; bool `[I, J, K]`."""
    if smallest <= 1:
        return mask.astype(bool, copy=False)
    return _chosen_parts(mask, lambda sizes: sizes >= min(smallest, sizes.max()))


def _chosen_parts(mask: np.ndarray, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Keep the parts that `choose` picks by their sizes in voxels; number 0 is the background, of size 0."""
    mask = mask.astype(bool, copy=False)
    box = bounding_box(mask)  # most masks are small, in a small corner of the body
    if box is None:
        return mask
    inside = mask[box.slices]
    parts, count = label_components(inside)
    if count < 2:
        return mask
    chosen = choose(component_sizes(parts, inside, count))
    chosen[0] = False
    labels = np.flatnonzero(chosen)
    kept = np.zeros_like(mask)
    kept[box.slices] = parts == labels[0] if len(labels) == 1 else chosen[parts]  # the comparison is 10 times faster
    return kept


def label_components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Label the connected components of a mask from 1 (26-connectivity); return their number, too."""
    if cc3d is not None:
        if not mask.flags.forc:
            # cc3d would copy it in row-major order, ten times slower for a column-major one.
            mask = mask.copy(order="K")
        # cc3d 4.1 has room for one label too few where a mask has as many parts as can be, as in 1 0 1.
        with suppress(RuntimeError):
            parts, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
            return np.asarray(parts), int(count)
    parts, count = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    return np.asarray(parts), int(count)


def component_sizes(parts: np.ndarray, inside: np.ndarray, count: int) -> np.ndarray:
    """Count the voxels of each component, by number; 0 for the background.

    Args:
        parts: From `label_components`.
        inside: Mask that was labelled, bool.
        count: Number of components.
    """
    if count <= _FEW_PARTS:
        return np.array([0, *(np.count_nonzero(parts == number) for number in range(1, count + 1))])
    return np.bincount(parts[inside], minlength=count + 1)


def component_boxes(parts: np.ndarray) -> list[tuple[slice, ...]]:
    """Return the bounding box of each component of `label_components`, that of number 1 first."""
    if parts.flags.f_contiguous:  # SciPy goes through rows, which takes twice as long against the order of the voxels
        return [box[::-1] for box in ndimage.find_objects(parts.T)]
    return list(ndimage.find_objects(parts))
