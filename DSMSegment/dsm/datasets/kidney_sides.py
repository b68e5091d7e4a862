"""Side of a kidney, for data sets with one label for both."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dsm.core.volume import Volume

_TISSUE_HU = -200.0
_COARSE = 4  # every fourth voxel is enough for the middle of a body
# A part that has so much on both sides is a horseshoe kidney: it is cut in the middle.
_BOTH_SIDES = 0.25


def is_left_of_body(kidneys: np.ndarray, image: Volume) -> np.ndarray:
    """Return, for each kidney voxel, whether it belongs to the left kidney.

    A connected part belongs to the side where most of it lies, so a large tumor that grows across the middle stays
    with its kidney. The middle is that of the body, not of the image.

    Args:
        kidneys: Both kidneys with what grows in them `[I, J, K]`, bool.
        image: The CT.

    Returns:
        Bool, same shape; False outside of the kidneys.
    """
    right_mm = image.affine[0, :3]
    tissue = np.argwhere(image.array[::_COARSE, ::_COARSE, ::_COARSE] > _TISSUE_HU) * _COARSE
    middle = float((tissue @ right_mm).mean()) if len(tissue) else float(right_mm @ np.array(image.shape) / 2)
    parts, _ = ndimage.label(kidneys, structure=np.ones((3, 3, 3)))
    left = np.zeros(kidneys.shape, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = np.argwhere(parts[box] == number) + [axis.start for axis in box]
        is_left = inside @ right_mm < middle
        if min(is_left.mean(), 1 - is_left.mean()) < _BOTH_SIDES:
            is_left[:] = is_left.mean() > 0.5
        left[tuple(inside[is_left].T)] = True
    return left
