"""Comparison of a predicted mask with the ground truth: overlap and surface distances."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from torch import Tensor

from dsm.core.boxes import Box, CroppedArray
from dsm.core.volume import voxel_ml

NSD_TOLERANCE_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """Two masks of one structure, cropped to the smallest box that holds both.

    Args:
        truth: Bool `[i, j, k]`.
        found: Bool, same shape.
        box: Where they lie in the image; empty if both masks are.
        spacing_mm: Voxel size along i, j, k.
    """

    truth: np.ndarray
    found: np.ndarray
    box: Box
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, truth: CroppedArray, found: CroppedArray, spacing_mm: Sequence[float]) -> MaskPair:
        """Crop two masks of one grid."""
        boxes = [crop.box for crop in (truth, found) if crop.array.size]
        i, j, k = (float(mm) for mm in spacing_mm)
        if not boxes:
            empty = np.zeros((0, 0, 0), dtype=bool)
            return cls(empty, empty, Box((0, 0, 0), (0, 0, 0)), (i, j, k))
        start = np.min([box.start for box in boxes], axis=0)
        stop = np.max([box.stop for box in boxes], axis=0)
        box = Box(tuple(start), tuple(stop))
        return cls(_moved(truth, box), _moved(found, box), box, (i, j, k))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return voxel_ml(np.diag(self.spacing_mm))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Agreement of two masks; None where it is not defined.

    Args:
        dice: Overlap of the volumes; None if there is no truth.
        nsd: Share of both surfaces that is within 2 mm of the other one (normalised surface Dice; surface voxels
            count alike); None if there is no truth.
        hd95_mm: 95th percentile of the surface distances, the larger of both directions; None if one mask is empty.
    """

    dice: float | None
    nsd: float | None
    hd95_mm: float | None


def overlap(pair: MaskPair) -> Overlap:
    """Compare two masks by MONAI's metrics."""
    if not pair.truth.any():
        return Overlap(None, None, None)
    if not pair.found.any():
        return Overlap(0.0, 0.0, None)
    found, truth = _one_hot(pair.found), _one_hot(pair.truth)
    spacing = list(pair.spacing_mm)
    with warnings.catch_warnings():
        # MONAI 1.6 warns about an argument that it passes itself.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        hd95 = compute_hausdorff_distance(found, truth, include_background=True, percentile=95, spacing=spacing)
        nsd = compute_surface_dice(found, truth, [NSD_TOLERANCE_MM], include_background=True, spacing=spacing)
    return Overlap(float(compute_dice(found, truth)[0, 0]), float(nsd[0, 0]), float(hd95[0, 0]))


def _moved(crop: CroppedArray, box: Box) -> np.ndarray:
    """Bring a crop into a larger box."""
    mask = np.zeros(box.size, dtype=bool)
    if crop.array.size:
        place = tuple(slice(a - o, b - o) for a, b, o in zip(crop.box.start, crop.box.stop, box.start, strict=True))
        mask[place] = crop.array != 0
    return mask


def _one_hot(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask)[None, None].float()
