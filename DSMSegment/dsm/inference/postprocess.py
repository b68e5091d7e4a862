"""Logits on the feature grid to a mask on the input grid, inside the bounding box of the result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Box, CroppedArray, bounding_box
from dsm.inference.components import keep_large_components, remove_small_components
from dsm.inference.logit_components import logit_of
from dsm.inference.working_grid import WorkingGrid

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
    inside = (logits > logit_of(threshold)).numpy()
    inside = keep_large_components(inside, fraction=keep_fraction)
    found = bounding_box(inside)
    if found is None:
        return NativeMask(NOTHING, 0, float(torch.sigmoid(logits.max())))
    mean = float(torch.sigmoid(logits[found.slices][torch.from_numpy(inside[found.slices])]).mean())
    box, coordinates = _native_box(found, logits, grid, stride)
    mask = np.zeros(box.size, dtype=bool)
    for start, values in _interpolated_chunks(logits, coordinates):
        mask[start : start + len(values)] = (values > logit_of(threshold)).numpy()
    mask = remove_small_components(keep_large_components(mask, fraction=keep_fraction), smallest_voxels)
    crop = _to_input(CroppedArray.from_mask(mask, box.start), grid)
    count = int(np.count_nonzero(crop.array))
    return NativeMask(crop if count else NOTHING, count, mean)


def native_probability(logits: Tensor, grid: WorkingGrid) -> CroppedArray:
    """Interpolate logits to the input grid as probabilities, float16, in the box where they exceed 0.01.

    Args:
        logits: As in `native_mask`.
        grid: Where they lie.
    """
    logits, stride = _without_padding(logits, grid)
    found = bounding_box((logits > logit_of(FAINTEST_PROBABILITY)).numpy())
    if found is None:
        return CroppedArray(np.zeros((0, 0, 0), dtype=np.float16), (0, 0, 0))
    box, coordinates = _native_box(found, logits, grid, stride)
    map_ = np.zeros(box.size, dtype=np.float16)
    for start, values in _interpolated_chunks(logits, coordinates):
        map_[start : start + len(values)] = torch.sigmoid(values).numpy()
    return _to_input(CroppedArray(map_, box.start), grid)


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


def _native_box(found: Box, logits: Tensor, grid: WorkingGrid, stride: int) -> tuple[Box, list[np.ndarray]]:
    """Return the box of the view around the found features, and the feature coordinates of its voxels, an axis each."""
    grown = found.grow(_GROW).clip(logits.shape)
    ranges = [
        grid.view_range(axis, grown.start[axis], grown.stop[axis], stride=stride, length=logits.shape[axis])
        for axis in range(3)
    ]
    coordinates = [
        grid.feature_coordinates(axis, start, stop, stride=stride) for axis, (start, stop) in enumerate(ranges)
    ]
    starts, stops = zip(*ranges, strict=True)
    return Box(starts, stops), coordinates


def _interpolated_chunks(logits: Tensor, coordinates: list[np.ndarray]) -> Iterator[tuple[int, Tensor]]:
    """Yield `(first voxel, values)` along the first axis of the box, trilinear at the given coordinates."""
    logits, (i, j, k) = _around(logits, coordinates)
    # Two passes on small arrays, then the large one in chunks.
    rows = _interpolate(_interpolate(logits, 2, k), 1, j)
    length = max(1, _CHUNK_VOXELS // max(1, len(j) * len(k)))
    for start in range(0, len(i), length):
        yield start, _interpolate(rows, 0, i[start : start + length])


def _around(logits: Tensor, coordinates: list[np.ndarray]) -> tuple[Tensor, list[np.ndarray]]:
    """Crop to the features between which the coordinates lie, and return the coordinates in the crop."""
    shifted = []
    for axis, values in enumerate(coordinates):
        last = logits.shape[axis] - 1
        inside = np.clip(values, 0, last)
        if not inside.size:  # between two thick slices
            shifted.append(inside)
            continue
        first = math.floor(inside.min())
        logits = logits.narrow(axis, first, min(last, math.floor(inside.max()) + 1) - first + 1)
        shifted.append(inside - first)
    return logits, shifted


def _interpolate(x: Tensor, axis: int, coordinates: np.ndarray) -> Tensor:
    """Linear interpolation along one axis; beyond the first and the last value they are repeated."""
    position = torch.from_numpy(np.clip(coordinates, 0, x.shape[axis] - 1))
    low = position.floor().to(torch.int64)
    high = (low + 1).clamp(max=x.shape[axis] - 1)
    fraction = (position - low).to(x.dtype)
    if not fraction.any():
        return x.index_select(axis, low)
    shape = [1, 1, 1]
    shape[axis] = len(position)
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high), fraction.view(shape))


def _to_input(crop: CroppedArray, grid: WorkingGrid) -> CroppedArray:
    """Bring a crop of the view to the input grid, column-major as volumes are."""
    crop = grid.orientation.crop_from_ras(crop, grid.input_shape)
    array = crop.array.view(np.uint8) if crop.array.dtype == bool else crop.array
    return CroppedArray(np.asfortranarray(array), crop.offset_ijk)
