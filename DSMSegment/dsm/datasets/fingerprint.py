"""Thumbnail of a scan, to find duplicates across data sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dsm.core.orientation import Orientation
from dsm.core.volume import Volume

_EDGE = 32
# Sets are stored with this window at times; what lies outside must not tell two copies apart.
_CT_WINDOW_HU = (-125.0, 275.0)
#: Correlation above which two scans are taken for one: copies with other HU steps or spacing have more.
SAME_SCAN = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A scan as 32×32×32 grey values.

    Args:
        digest: Equal for scans that look the same to one part in 255 everywhere.
        values: Mean 0, length 1, `(32768,)`; the product of two is their correlation.
    """

    digest: str
    values: np.ndarray


def fingerprint(volume: Volume) -> Fingerprint:
    """Shrink a scan to 32×32×32 in RAS order, whatever its orientation, spacing and intensity steps.

    Finds copies with the same field of view, not crops of a scan.
    """
    array = Orientation.of(volume.affine).to_ras(volume.array)
    if volume.modality == "CT":
        low, high = _CT_WINDOW_HU
    else:
        low, high = (float(value) for value in np.percentile(array[::2, ::2, ::2], [1, 99]))
    grey = np.clip((array.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    small = _shrunk(grey)
    centred = (small - small.mean()).reshape(-1)
    digest = hashlib.sha256(np.round(255 * small).astype(np.uint8).tobytes()).hexdigest()[:16]
    return Fingerprint(digest, (centred / max(float(np.linalg.norm(centred)), 1e-6)).astype(np.float32))


def _shrunk(grey: np.ndarray) -> np.ndarray:
    """Means over cells of a box filter as wide as a cell, sampled at the centres of 32 cells an axis."""
    for axis, length in enumerate(grey.shape):
        cell = length / _EDGE
        if cell > 1:
            grey = ndimage.uniform_filter1d(grey, round(cell), axis=axis, mode="nearest")
        centres = (np.arange(_EDGE) + 0.5) * cell - 0.5
        low = np.clip(np.floor(centres).astype(int), 0, length - 1)
        high = np.clip(low + 1, 0, length - 1)
        part = np.clip(centres - low, 0, 1).astype(np.float32)
        part = part.reshape([-1 if a == axis else 1 for a in range(3)])
        grey = grey.take(low, axis=axis) * (1 - part) + grey.take(high, axis=axis) * part
    return grey
