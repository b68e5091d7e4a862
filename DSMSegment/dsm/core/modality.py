"""CT or MR, decided from the voxel values if nothing else states it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The modalities that can be segmented.
MODALITIES = ("CT", "MR")

# Air, lung and fat lie below -100 HU, also where a CT was clipped to a soft-tissue window ([-125, 275] HU). Of 100 CT
# scans at hand at least a tenth of the voxels lie there. Interpolation and bias correction leave an MR image with a few
# negative voxels, far fewer.
_FAT_HU = -100
_SMALLEST_DARK_FRACTION = 0.02

_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class ModalityGuess:
    """Modality inferred from the voxel values.

    Args:
        modality: `"CT"` or `"MR"`.
        reason: One sentence for the user.
    """

    modality: str
    reason: str


def guess_modality(array: np.ndarray) -> ModalityGuess:
    """Tell CT in Hounsfield units from MR by the share of voxels at or below -100, which fat and air have in a CT.

    The share of all voxels decides, so neither a single outlier nor the storage order of the array can change the
    result.

    Args:
        array: Voxel values, of any shape and real dtype.
    """
    dark = 0.0
    if array.size and array.dtype.kind in "if":
        flat = array.ravel(order="K")  # no copy of a volume, whatever its storage order
        # In pieces that stay in the cache: half of the time, and no mask as large as the volume.
        pieces = (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))
        dark = sum(int(np.count_nonzero(piece <= _FAT_HU)) for piece in pieces) / array.size
    if dark >= _SMALLEST_DARK_FRACTION:
        return ModalityGuess("CT", f"Taken for CT: {dark:.0%} of the voxels are at or below -100, as fat and air are.")
    shown = f"{dark:.2%}" if dark else "None"
    return ModalityGuess("MR", f"Taken for MR: {shown} of the voxels are at or below -100, too few for CT in HU.")
