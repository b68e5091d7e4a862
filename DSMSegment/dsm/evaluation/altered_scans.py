"""Scans in which a structure is missing for certain: slabs and halves of labelled scans, and removed organs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from dsm.core.volume import Volume
from dsm.io.manifest import CaseEntry

_SLAB_MM = 130.0  # enough to hold a kidney, and to miss the other organs of a trunk
_FAT_HU = (-120.0, -80.0)
_GROWN = 2  # voxels around a label, where its border shines through


def altered_scans(
    entry: CaseEntry, volume: Volume, label: np.ndarray, *, crops: bool, removed: Sequence[str]
) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Yield a case as it is, then cut along its axes, then with organs replaced by fat.

    Args:
        entry: The case.
        volume: Its image.
        label: Label ids `[I, J, K]`.
        crops: Also slabs of about 13 cm along k, and both halves along i.
        removed: Names of structures to take out of a CT, one at a time, where they are annotated.

    Yields:
        Name of the variant, image and label ids.
    """
    yield "whole", volume, label
    if crops:
        length = volume.shape[2]
        edges = np.linspace(0, length, max(1, round(length * volume.spacing_mm[2] / _SLAB_MM)) + 1).astype(int)
        if len(edges) > 2:
            for start, stop in pairwise(edges.tolist()):
                yield f"k {start}-{stop}", *_cut(volume, label, 2, start, stop)
        middle = volume.shape[0] // 2
        yield "i lower half", *_cut(volume, label, 0, 0, middle)
        yield "i upper half", *_cut(volume, label, 0, middle, volume.shape[0])
    for name in removed:
        where = np.isin(label, entry.targets.get(name, ()))
        if volume.modality == "CT" and where.any():
            yield f"without {name}", _without(volume, where), np.where(where, 0, label)


def _cut(volume: Volume, label: np.ndarray, axis: int, start: int, stop: int) -> tuple[Volume, np.ndarray]:
    part = tuple(slice(start, stop) if one == axis else slice(None) for one in range(3))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * start
    return replace(volume, array=np.asfortranarray(volume.array[part]), affine=affine), label[part]


def _without(volume: Volume, where: np.ndarray) -> Volume:
    """Fill a region with fat of the same scan, drawn voxel by voxel."""
    array = volume.array.copy(order="F")
    fat = array[(array >= _FAT_HU[0]) & (array <= _FAT_HU[1])]
    region = ndimage.binary_dilation(where, iterations=_GROWN)
    array[region] = np.random.default_rng(0).choice(fat, size=np.count_nonzero(region))
    return replace(volume, array=array)
