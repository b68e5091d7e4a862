"""Baseline for a click network: geodesic distances from the clicks, without learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813  # its usual name
import torch
from torch import Tensor

from dsm.inference.click_channels import WindowClick

# Set on training cases of btcv, lits and sts_ct (docs/reference/evaluation.md).
_TOLERANCE = 0.05  # of intensities, as a share of the soft tissue window
_SLOWEST = 0.01


@dataclass(frozen=True, slots=True)
class GeodesicLook:
    """Predictor with the interface of the network, based on fast marching.

    A voxel is inside if a front from the clicks inside, which is fast where the image is like them, gets there before a
    front from the clicks outside and from the faces of the window, which is fast where the image is not like them, or
    like the clicks outside.

    Args:
        size: Voxels along an edge of the windows.
        coarsest_mm: Voxel size beyond which windows do not grow: fronts run away where nothing stops them.

    References:
        Bai and Sapiro 2007, geodesic framework for interactive segmentation; fronts by `SimpleITK.FastMarching`.
    """

    size: int = 32
    coarsest_mm: float = 4.0

    def look(self, image: Tensor, clicks: Sequence[WindowClick], *, previous: Tensor, text: Tensor) -> Tensor:
        """Lead of the front from the inside clicks, above 0 is inside `(i, j, k)`; masks are ignored."""
        del previous, text
        values = sitk.GetArrayFromImage(
            sitk.DiscreteGaussian(sitk.GetImageFromArray(image.clamp(0, 1).numpy()), [0.5] * 3)
        )
        marks = [(_voxel(point, values.shape), is_inside) for point, is_inside in clicks]
        inside = [voxel for voxel, is_inside in marks if is_inside]
        outside = [voxel for voxel, is_inside in marks if not is_inside]
        like_inside, like_outside = (_likeness(values, voxels) for voxels in (inside, outside))
        from_inside = _arrival(like_inside, inside)
        from_outside = _arrival(np.maximum(1 - like_inside, like_outside), [*outside, *_faces(values.shape)])
        return torch.from_numpy(from_outside - from_inside)


def _likeness(values: np.ndarray, voxels: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Similarity of each voxel to the most similar of some, 0 to 1; 0 if there are none."""
    alike = [np.exp(-(((values - values[voxel]) / _TOLERANCE) ** 2)) for voxel in voxels]
    return np.max(alike, axis=0) if alike else np.zeros_like(values)


def _arrival(speed: np.ndarray, seeds: Sequence[tuple[int, int, int]]) -> np.ndarray:
    points = [tuple(int(v) for v in reversed(seed)) for seed in seeds]
    front = sitk.FastMarching(sitk.GetImageFromArray(np.maximum(speed, _SLOWEST).astype(np.float32)), points)
    return np.minimum(sitk.GetArrayFromImage(front), 1e6)


def _faces(shape: Sequence[int]) -> list[tuple[int, int, int]]:
    face = np.zeros(tuple(shape), dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            face[(slice(None),) * axis + (end,)] = True
    return [(int(i), int(j), int(k)) for i, j, k in np.argwhere(face)[::5]]


def _voxel(point: Sequence[float], shape: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = (min(max(round(value), 0), length - 1) for value, length in zip(point, shape, strict=True))
    return i, j, k
