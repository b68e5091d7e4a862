"""Nodules and masses of the lung in CT: solid regions inside the lung that are not vessels.

The network's window of intensities ends where the lung begins, so to it a lung is black whatever is in it. In the image
itself a nodule is what aerated lung surrounds; a mass is thick and mostly surrounded, even where it reaches the wall.
Vessels are neither: they are thin, or attached to each other and to the hilum.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.components import keep_large_components, label_components
from dsm.inference.host_organs import map_host_organs
from dsm.inference.logit_components import REJECTED_LOGIT
from dsm.inference.working_grid import WorkingGrid

# All lengths in features (3 mm).
_CLOSED = 12.0  # dents into which no ball of this radius fits are part of the lung
# What a ball of this radius does not fit into is a vessel or the edge of something else; of what does, so much of the
# voxels around must be aerated lung. Hilar vessels reach 0.58 and 0.46, the two tumors 0.72 and 0.54.
_SHAPES = ((1.5, 0.6), (2.0, 0.5))
_FEWEST = 4000  # features (0.1 l) that are a lung
_HU_A_LOGIT = 100.0
_AT_BORDER = 0.1  # logits: nothing is undecided


def nodule_logits(lungs: Tensor, volume: Volume, grid: WorkingGrid) -> Tensor | None:
    """Logits of being a nodule or a mass: 0 halfway from the lung's median to water (0 HU), one more each 100 HU.

    Args:
        lungs: Logits of the lungs `(lungs, i, j, k)` on the CPU.
        volume: The image, a CT.
        grid: How the logits lie on it.

    Returns:
        `(i, j, k)`, float32; None where there is no lung. Nothing is above 0 but nodules and masses; what else is
        solid in a lung is just below.
    """
    return map_host_organs(lungs, volume, grid, _nodules_of, margin=1)


def _nodules_of(lung: np.ndarray, intensity: np.ndarray, _box: Box) -> np.ndarray | None:
    """Logits in the box of one lung, float32; None where it is too small to be one."""
    if np.count_nonzero(lung) < _FEWEST:
        return None
    border = float(np.median(intensity[lung])) / 2
    aerated = keep_large_components(lung & (intensity < border), fraction=1.0)
    inside = _closed(aerated)
    solid = inside & (intensity >= border)
    found = np.zeros_like(solid)
    for radius, least in _SHAPES:
        found |= _surrounded(_opened(solid, radius), aerated, least=least)
    logits = (intensity - border) / _HU_A_LOGIT
    logits = np.where(found, logits.clip(min=_AT_BORDER), logits.clip(max=-_AT_BORDER))
    return np.where(inside, logits, REJECTED_LOGIT).clip(REJECTED_LOGIT, -REJECTED_LOGIT).astype(np.float32)


def _closed(mask: np.ndarray) -> np.ndarray:
    """Closing with a ball, with holes filled."""
    room = int(_CLOSED) + 1
    wide = _grown(np.pad(mask, room), _CLOSED)
    closed = ndimage.distance_transform_edt(wide) > _CLOSED
    return np.asarray(ndimage.binary_fill_holes(closed[room:-room, room:-room, room:-room]))


def _opened(mask: np.ndarray, radius: float) -> np.ndarray:
    """Opening with a ball; the image is continued beyond its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1, constant_values=True))[1:-1, 1:-1, 1:-1]
    return mask & _grown(depth > radius, radius)


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) <= radius)


def _surrounded(mask: np.ndarray, aerated: np.ndarray, *, least: float) -> np.ndarray:
    """Return the connected components around which at least that share of voxels is aerated lung."""
    parts, _ = label_components(mask)
    kept = np.zeros_like(mask)
    for number, slices in enumerate(ndimage.find_objects(parts), start=1):
        around = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in slices)
        part = parts[around] == number
        shell = ndimage.binary_dilation(part) & ~part
        if shell.any() and aerated[around][shell].mean() >= least:
            kept[around] |= part
    return kept
