"""Simulated user clicks, from a mask and its errors."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dsm.core.boxes import Index3, bounding_box
from dsm.inference.components import label_components


def first_click(
    truth: np.ndarray, rng: np.random.Generator, *, depth: float = 0.6, spacing: tuple[float, ...] = (1, 1, 1)
) -> Index3:
    """Choose a voxel well inside of a mask.

    Args:
        truth: Bool `[i, j, k]`, not empty.
        rng: Source of randomness.
        depth: Least distance to the border as a share of the deepest voxel's: 1 is the middle, 0 anywhere.
        spacing: Voxel size.
    """
    return _deep_voxel(truth, rng, depth, spacing)


def next_click(
    truth: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    *,
    depth: float = 0.8,
    spacing: tuple[float, ...] = (1, 1, 1),
) -> tuple[Index3, bool] | None:
    """Place a click in the middle of the largest connected error.

    Args:
        truth: Bool `[i, j, k]`.
        found: Bool, same shape.
        rng: Source of randomness.
        depth: As in `first_click`.
        spacing: Voxel size.

    Returns:
        The voxel and whether it is inside; None if the masks agree.
    """
    largest: tuple[int, np.ndarray, bool] | None = None
    for error, is_inside in ((truth & ~found, True), (found & ~truth, False)):
        if not error.any():
            continue
        parts, count = label_components(error)
        sizes = np.bincount(parts.reshape(-1), minlength=count + 1)
        sizes[0] = 0
        part = int(sizes.argmax())
        if largest is None or sizes[part] > largest[0]:
            largest = int(sizes[part]), parts == part, is_inside
    if largest is None:
        return None
    return _deep_voxel(largest[1], rng, depth, spacing), largest[2]


def _deep_voxel(mask: np.ndarray, rng: np.random.Generator, depth: float, spacing: tuple[float, ...]) -> Index3:
    box = bounding_box(mask)
    assert box is not None  # noqa: S101  # callers give masks with voxels
    cropped = np.pad(mask[box.slices], 1)
    distance = ndimage.distance_transform_edt(cropped, sampling=spacing)
    voxels = np.argwhere((distance >= depth * distance.max()) & cropped)
    i, j, k = (int(v) + start - 1 for v, start in zip(voxels[rng.integers(len(voxels))], box.start, strict=True))
    return i, j, k
