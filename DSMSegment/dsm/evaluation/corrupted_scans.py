"""Scans that are read wrongly: mirrored, upside down, of another size, with other values, as another modality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dsm.core.orientation import Orientation
from dsm.core.volume import Volume

_SHIFT_HU = 300


def corrupted_scans(volume: Volume, label: np.ndarray) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Yield a scan as it is, then in wrong forms.

    Args:
        volume: CT or MR.
        label: Label ids `[I, J, K]`; they follow the voxels, so that "left" in them is what the patient calls left.

    Yields:
        Name of the variant, image and label ids.
    """
    yield "plain", volume, label
    left_right, _, head_feet = Orientation.of(volume.affine).axes
    for variant, axis in (("mirrored", left_right), ("upside down", head_feet)):
        flipped = replace(volume, array=np.asfortranarray(np.flip(volume.array, axis)))
        yield variant, flipped, np.flip(label, axis)
    yield "double spacing", replace(volume, affine=volume.affine @ np.diag([2.0, 2.0, 2.0, 1.0])), label
    if volume.modality == "CT":
        values = volume.array.astype(np.float32)
        yield f"{_SHIFT_HU} HU higher", replace(volume, array=values + _SHIFT_HU), label
        yield "slope doubled", replace(volume, array=values * 2), label
    other = "MR" if volume.modality == "CT" else "CT"
    yield f"taken for {other}", replace(volume, modality=other), label
