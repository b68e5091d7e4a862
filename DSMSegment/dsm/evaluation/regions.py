"""Regions for ranking: the whole body, and the host organ of the tumor with its surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from dsm.core.boxes import Box, bounding_box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.body_box import find_body

HOST_MARGIN_MM = 10.0
MAX_POSITIVES = 50_000
MAX_NEGATIVES = 200_000
_COARSE_MM = 6.0


def tumor_voxels(tumor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the voxels of a mask `[I, J, K]`, at most 50 000 drawn at random: indices `(n, 3)`."""
    box = bounding_box(tumor)
    if box is None:
        return np.zeros((0, 3), dtype=np.int64)
    return _drawn(np.argwhere(tumor[box.slices]) + box.start, MAX_POSITIVES, rng)


def body_voxels(volume: Volume, tumor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw voxels of the body outside the tumor, about 200 000: indices `(n, 3)`.

    The body is what is brighter than air, with the holes of each axial slice (lungs, bowel gas) filled: air around the
    patient is no achievement. It is found on a grid of about 6 mm.

    Args:
        volume: The image.
        tumor: `[I, J, K]`, bool.
        rng: Draws the voxels.
    """
    body = find_body(volume)
    strides = [max(1, round(_COARSE_MM / mm)) for mm in volume.spacing_mm]
    coarse = volume.array[body.box.slices][tuple(slice(None, None, n) for n in strides)] > body.threshold
    axial = Orientation.of(volume.affine).axes[2]
    for plane in np.moveaxis(coarse, axial, 0):
        plane[...] = ndimage.binary_fill_holes(plane)
    share = max(float(coarse.mean()), 0.01)
    inside = _random_voxels(body.box, round(MAX_NEGATIVES / share), rng)
    inside = inside[coarse[tuple((inside - body.box.start).T // np.array(strides)[:, None])]]
    return inside[~tumor[tuple(inside.T)]]


def host_voxels(
    host: np.ndarray, tumor: np.ndarray, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Draw voxels within 10 mm of the host organ outside the tumor, at most 200 000: indices `(n, 3)`.

    Args:
        host: The organ with its tumor `[I, J, K]`, bool.
        tumor: Same shape.
        spacing_mm: Voxel size.
        rng: Draws the voxels.
    """
    organ = bounding_box(host)
    if organ is None:
        return np.zeros((0, 3), dtype=np.int64)
    box = organ.grow([int(np.ceil(HOST_MARGIN_MM / mm)) for mm in spacing_mm]).clip(host.shape)
    near = ndimage.distance_transform_edt(~host[box.slices], sampling=spacing_mm) <= HOST_MARGIN_MM
    return _drawn(np.argwhere(near & ~tumor[box.slices]) + box.start, MAX_NEGATIVES, rng)


def _random_voxels(box: Box, count: int, rng: np.random.Generator) -> np.ndarray:
    """All voxels of a small box; of a large one `count`, drawn with replacement."""
    if box.num_voxels <= count:
        return np.argwhere(np.ones(box.size, dtype=bool)) + box.start
    return rng.integers(box.start, box.stop, size=(count, 3))


def _drawn(voxels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return voxels if len(voxels) <= most else voxels[rng.choice(len(voxels), size=most, replace=False)]
