"""Lesion-wise detection: true lesions found, and false positives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsm.evaluation.mask_pair import MaskPair
from dsm.inference.components import label_components

# Share of a lesion's volume that must be in the mask; a touch at its rim is not a find.
FOUND_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Lesion:
    """A connected component of the ground truth (26-connectivity).

    Args:
        ml: Volume.
        share: How much of it is in the mask, 0 to 1.
    """

    ml: float
    share: float

    @property
    def is_found(self) -> bool:
        """True if at least a tenth of the lesion is in the mask."""
        return self.share >= FOUND_SHARE


def true_lesions(pair: MaskPair) -> list[Lesion]:
    """List the lesions of the ground truth, the largest first."""
    if not pair.truth.any():
        return []
    parts, count = label_components(pair.truth)
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)[1:]
    inside = np.bincount(parts[pair.found], minlength=count + 1)[1:]
    lesions = [Lesion(float(n) * pair.voxel_ml, float(m / n)) for n, m in zip(sizes, inside, strict=True)]
    return sorted(lesions, key=lambda lesion: -lesion.ml)


def count_false_positives(pair: MaskPair) -> int:
    """Count the connected components of the mask that touch no voxel of the ground truth, however small."""
    if not pair.found.any():
        return 0
    parts, count = label_components(pair.found)
    return count - len(np.setdiff1d(parts[pair.truth], [0]))
