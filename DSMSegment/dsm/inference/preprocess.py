"""Preprocessing of a volume into the input tensor of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.errors import OutOfMemoryError
from dsm.inference.body_box import Body
from dsm.inference.body_grid import make_working_grid
from dsm.inference.memory import usable_bytes
from dsm.inference.working_grid import WorkingGrid
from dsm.ops.intensity import mr_windows, window_channels, windows_of_scan
from dsm.ops.resample import resample

# What torch can index and multiply; others (unsigned shorts, big-endian files) are converted first.
_TORCH_DTYPES = frozenset({"int8", "uint8", "int16", "int32", "int64", "float32", "float64"})

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Preprocessed volume.

    Args:
        tensor: `(1, C, I, J, K)` float32 in [0, 1], edges multiples of 16.
        grid: Where it lies on the input grid.
        body: What was cropped to.
    """

    tensor: Tensor
    grid: WorkingGrid
    body: Body


def prepare(
    volume: Volume, *, spacing_mm: float, windows_hu: Sequence[tuple[float, float]], region: Box | None = None
) -> Prepared:
    """Crop to the body, resample, map to channels and pad.

    Args:
        volume: CT or MR, any orientation.
        spacing_mm: Of the network, the same along each axis.
        windows_hu: One channel a window. See `windows_of_scan`; an MR image has one window, its own percentiles.
        region: Voxels that matter; None for all. See `make_working_grid`.

    Raises:
        OutOfMemoryError: If the working grid does not fit into the free memory; before anything is allocated.
    """
    body, grid = make_working_grid(volume, spacing_mm=spacing_mm, region=region)
    _check_memory(grid, len(windows_hu))
    image = resample_to(grid, volume.array)
    if volume.modality != "CT":
        inside = image[image > body.threshold]
        windows = mr_windows(inside if inside.numel() else image, len(windows_hu))
    else:
        windows = windows_of_scan(image, windows_hu)
    return Prepared(_pad(window_channels(image, windows), grid), grid, body)


def _check_memory(grid: WorkingGrid, num_channels: int) -> None:
    num_voxels = math.prod(grid.padded_shape)
    needed = _FLOAT_BYTES * num_voxels * (num_channels + 1)  # the resampled image and the channels
    free = usable_bytes(torch.device("cpu"))
    if needed > free:
        shown = " × ".join(str(n) for n in grid.padded_shape)
        raise OutOfMemoryError(
            f"The image takes {shown} voxels at the spacing of the network, {needed / 1e9:.1f} GB; "
            f"{free / 1e9:.1f} GB of memory can be used.",
            code="oom_ram",
            hint="Check its voxel sizes, crop it to the part of interest, or close other programs.",
        )


def resample_to(grid: WorkingGrid, array: np.ndarray) -> Tensor:
    """Resample an array `[I, J, K]` of the input grid linearly to `grid`: `grid.shape`, float32, not padded."""
    axes, origin, step = grid.input_sampling()
    return resample(as_tensor(array).permute(tuple(axes)), origin=origin, step=step, size=grid.shape)


def resample_features(grid: WorkingGrid, array: np.ndarray, box: Box, *, stride: int) -> Tensor:
    """Mean values of an array `[I, J, K]` of the input grid in features of the network, float32.

    Args:
        grid: The working grid.
        array: What lies on the input grid.
        box: Features `(i, j, k)`, each of `stride`³ working voxels.
        stride: Of the features.
    """
    axes, origin, step = grid.input_sampling()
    first = [o + s * (stride * n + (stride - 1) / 2) for o, s, n in zip(origin, step, box.start, strict=True)]
    return resample(as_tensor(array).permute(tuple(axes)), origin=first, step=[stride * s for s in step], size=box.size)


def as_tensor(array: np.ndarray) -> Tensor:
    """Return an array of any type as a tensor that torch can index and multiply; not copied where that can be."""
    if array.dtype.name not in _TORCH_DTYPES or not array.dtype.isnative:
        array = array.astype(np.float32)
    if min(array.strides) < 0 or not array.flags.writeable:
        # torch knows neither negative strides nor read-only memory (a memory-mapped file).
        array = array.copy(order="K")
    return torch.from_numpy(array)


def _pad(channels: Tensor, grid: WorkingGrid) -> Tensor:
    """Pad at the far ends with 0, the minimum of every channel; one a window, so air looks like air."""
    i, j, k = (full - n for full, n in zip(grid.padded_shape, grid.shape, strict=True))
    return functional.pad(channels, (0, k, 0, j, 0, i))[None]
