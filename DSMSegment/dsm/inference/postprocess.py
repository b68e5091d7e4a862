"""Logits on the feature grid to a mask on the input grid, inside the bounding box of the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dsm.core.boxes import Box, CroppedArray, bounding_box
from dsm.inference.components import keep_large_components, remove_small_components
from dsm.inference.logit_components import REJECTED_LOGIT, logit_of
from dsm.inference.working_grid import WorkingGrid
from dsm.ops.upsample import interpolation_matrix

# Feature voxels around the found ones: linear interpolation reaches one further, rounding of borders another.
_GROW = 2
# Native voxels that are interpolated at a time (4 MB): a mask of the whole body needs no float image of the body, and
# blocks of this size are used again where larger ones are mapped anew, which takes a sixth longer.
_CHUNK_VOXELS = 1_000_000
# Where a probability map ends: fainter than one grey value of a percent display.
FAINTEST_PROBABILITY = 0.01

NOTHING = CroppedArray(np.zeros((0, 0, 0), dtype=np.uint8), (0, 0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class NativeMask:
    """A mask on the input grid.

    Args:
        mask: uint8, empty when no voxel is inside.
        num_voxels: Voxels inside.
        mean_probability: Of the features inside; where none is inside, the highest of all.
    """

    mask: CroppedArray
    num_voxels: int
    mean_probability: float


def native_mask(
    logits: Tensor, grid: WorkingGrid, *, threshold: float, keep_fraction: float, smallest_voxels: int = 0
) -> NativeMask:
    """Interpolate logits to the centres of the input voxels and apply `threshold`.

    The parts to keep are chosen on the feature grid first, so that a stray voxel at the other end of the body does not
    stretch the box; then once more among the voxels in the box.

    Args:
        logits: `(I, J, K)`, float32, on the CPU: the padded working grid divided by the stride of the features.
        grid: Where they lie.
        threshold: Probability above which a voxel is inside, between 0 and 1.
        keep_fraction: As in `keep_large_components`.
        smallest_voxels: As in `remove_small_components`.
    """
    logits, stride = _without_padding(logits, grid)
    above = logits.numpy() > logit_of(threshold)
    inside = keep_large_components(above, fraction=keep_fraction)
    found = bounding_box(inside)
    if found is None:
        return NativeMask(NOTHING, 0, float(torch.sigmoid(logits.max())))
    mean = float(torch.sigmoid(logits[found.slices][torch.from_numpy(inside[found.slices])]).mean())
    near = found.grow(_GROW).clip(logits.shape)
    logits_near = logits[near.slices]
    if (dropped := above[near.slices] & ~inside[near.slices]).any():
        logits_near = logits_near.masked_fill(torch.from_numpy(dropped), REJECTED_LOGIT)
    view = _on_view(logits_near, near, logits.shape, grid, stride, bool, lambda values: values > logit_of(threshold))
    mask = remove_small_components(keep_large_components(view.array, fraction=keep_fraction), smallest_voxels)
    crop = _to_input(CroppedArray.from_mask(mask, view.offset_ijk), grid)
    count = int(np.count_nonzero(crop.array))
    return NativeMask(crop if count else NOTHING, count, mean)


def native_probability(logits: Tensor, grid: WorkingGrid) -> CroppedArray:
    """Interpolate logits to the input grid as probabilities, float16, in the box where they exceed 0.01.

    Args:
        logits: As in `native_mask`.
        grid: Where they lie.
    """
    logits, stride = _without_padding(logits, grid)
    found = bounding_box(logits.numpy() > logit_of(FAINTEST_PROBABILITY))
    if found is None:
        return CroppedArray(np.zeros((0, 0, 0), dtype=np.float16), (0, 0, 0))
    near = found.grow(_GROW).clip(logits.shape)
    view = _on_view(logits[near.slices], near, logits.shape, grid, stride, np.float16, _sigmoid)
    return _to_input(view, grid)


def native_uncertainty(mean_probability: Tensor, grid: WorkingGrid) -> CroppedArray:
    """Uncertainty on the input grid, float16, 0 sure to 1 undecided.

    `2 √(p (1 - p))` of the mean probability p over the hypotheses: twice the standard deviation of "the voxel is
    inside", in which their spread and the doubt of each add up (law of total variance). It is the network's own
    opinion and not calibrated.

    Args:
        mean_probability: `(I, J, K)`, float32, on the CPU: the padded working grid divided by the stride of features.
        grid: Where it lies.
    """
    found = native_probability(torch.logit(mean_probability, eps=1e-6), grid)
    p = found.array.astype(np.float32)
    return CroppedArray((2 * np.sqrt(p * (1 - p))).astype(np.float16), found.offset_ijk)


def network_confidence(mean_probability: float, presence_logit: float) -> float:
    """Return the network's own confidence in a result, 0 to 1; it decides on presence where no calibration holds.

    The mean probability inside the mask (how sure the voxels are) times the probability of the presence head (whether
    the structure is in the image at all). Neither is calibrated: it is not the chance that the
    mask is right, and no result shows it.
    """
    return mean_probability / (1 + math.exp(-max(-60.0, min(60.0, presence_logit))))


def _without_padding(logits: Tensor, grid: WorkingGrid) -> tuple[Tensor, int]:
    """Cut the features that stand for padding only; return the stride of the feature grid too."""
    stride = grid.padded_shape[0] // logits.shape[0]
    i, j, k = (math.ceil(n / stride) for n in grid.shape)
    return logits[:i, :j, :k], stride


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(torch.from_numpy(logits).sigmoid().numpy())


def _on_view(
    logits: Tensor,
    near: Box,
    feature_shape: Sequence[int],
    grid: WorkingGrid,
    stride: int,
    dtype: npt.DTypeLike,
    convert: Callable[[np.ndarray], np.ndarray],
) -> CroppedArray:
    """Interpolate logits to the voxels of the view, column-major as volumes are.

    Args:
        logits: Those in `near`, float32, on the CPU.
        near: Box of features.
        feature_shape: Of the features that `near` is a box of.
        grid: Where they lie.
        stride: Working voxels a feature.
        dtype: Of the result.
        convert: Makes its values from interpolated logits.
    """
    starts, coordinates = [], []
    for axis in range(3):
        first, stop = grid.view_range(
            axis, near.start[axis], near.stop[axis], stride=stride, length=feature_shape[axis]
        )
        starts.append(first)
        coordinates.append(grid.feature_coordinates(axis, first, stop, stride=stride) - near.start[axis])
    planes = np.empty([len(values) for values in reversed(coordinates)], dtype)
    for first, values in _interpolated_planes(logits, coordinates):
        planes[first : first + len(values)] = convert(values)
    i, j, k = starts
    return CroppedArray(planes.transpose(), (i, j, k))


def _interpolated_planes(logits: Tensor, coordinates: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield `(first plane, values (planes, J, I))` along the last axis, trilinear at the given coordinates.

    Args:
        logits: `(i, j, k)`, float32, on the CPU.
        coordinates: Of the voxels along each axis, on the grid of `logits`.

    Yields:
        Values that the next ones are written over.
    """
    i, j, k = (interpolation_matrix(values, n) for values, n in zip(coordinates, logits.shape, strict=True))
    # Two passes on small arrays, then the large one in chunks, each from the features that it lies between.
    rows = (j @ (logits.permute(2, 1, 0) @ i.T)).flatten(1)
    length = max(1, _CHUNK_VOXELS // max(1, rows.shape[1]))
    values = torch.empty(length, rows.shape[1])
    for first in range(0, len(k), length):
        weights = k[first : first + length]
        used = weights.any(dim=0).nonzero()
        low, high = int(used[0]), int(used[-1]) + 1
        torch.mm(weights[:, low:high], rows[low:high], out=values[: len(weights)])
        yield first, values[: len(weights)].view(-1, len(j), len(i)).numpy()


def _to_input(crop: CroppedArray, grid: WorkingGrid) -> CroppedArray:
    """Bring a crop of the view to the input grid, column-major as volumes are."""
    crop = grid.orientation.crop_from_ras(crop, grid.input_shape)
    array = crop.array.view(np.uint8) if crop.array.dtype == bool else crop.array
    return CroppedArray(np.asfortranarray(array), crop.offset_ijk)
