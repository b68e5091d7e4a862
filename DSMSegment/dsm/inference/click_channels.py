"""Input channels of the click network from an image window and clicks, in training and inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.geodesic import geodesic_distance, highest_barrier

# Intensities are in units of the soft tissue window: 0 and 1 are its ends. MR: the percentiles of the body.
SOFT_TISSUE_HU = (-160.0, 240.0)
_WIDE = (-2.1, 1.9)  # -1000 to 600 HU in those units

_NEAR_VOXELS = 2.0
_FAR_VOXELS = 10.0
_STEP_COST = 0.01  # of geodesic paths, so that a uniform region is not all at distance 0
_FALL = 2.0  # of what geodesic distances and barriers are shown as: exp(-2 d)
# Half-resolution voxels: most of the way through a window.
_PATH_VOXELS = 24

# (i, j, k) in voxels of the window, whether inside.
WindowClick = tuple[tuple[float, float, float], bool]


def click_channels(image: Tensor, clicks: Sequence[Sequence[WindowClick]], *, previous: Tensor, text: Tensor) -> Tensor:
    """Make the input of `ClickRefiner`.

    Args:
        image: Windows in units of the soft tissue window `(batch, i, j, k)`, edges even.
        clicks: Of each window; one outside of the window counts at its border.
        previous: Probability of an earlier mask, 0 where there is none, `(batch, i, j, k)`.
        text: Mask that a text prompt found, 0 where there is none, `(batch, i, j, k)`.

    Returns:
        `(batch, 13, i, j, k)`, see `dsm.nn.click_refiner.CHANNELS`.
    """
    soft, wide = image.clamp(0, 1), ((image - _WIDE[0]) / (_WIDE[1] - _WIDE[0])).clamp(0, 1)
    smooth_soft, smooth_wide = (_smooth(values) for values in (soft, wide))
    half = F.avg_pool3d(soft[:, None], 2)[:, 0]
    half_wide = F.avg_pool3d(wide[:, None], 2)[:, 0]
    maps = []
    for row, own in enumerate(clicks):
        inside = [point for point, is_inside in own if is_inside]
        outside = [point for point, is_inside in own if not is_inside]
        differences = [
            _nearest_difference(values[row], smooth[row], inside)
            for values, smooth in ((soft, smooth_soft), (wide, smooth_wide))
        ]
        costs = []
        for points in (inside, outside):
            difference = _nearest_difference(half[row], smooth_soft[row], points)
            difference_wide = _nearest_difference(half_wide[row], smooth_wide[row], points)
            costs.append(difference.abs() + difference_wide.abs())
        maps.append((*differences, *_distances(inside, soft[row].shape), *_distances(outside, soft[row].shape), *costs))
    soft_difference, wide_difference, in_near, in_far, out_near, out_far, in_cost, out_cost = (
        torch.stack(parts) for parts in zip(*maps, strict=True)
    )
    in_seeds, out_seeds = (
        torch.stack([_seeds(own, half.shape[1:], wanted=wanted) for own in clicks]) for wanted in (True, False)
    )
    in_path = geodesic_distance(in_cost + _STEP_COST, in_seeds, steps=_PATH_VOXELS)
    in_barrier = highest_barrier(_smooth(in_cost), in_seeds, steps=_PATH_VOXELS)
    out_path = geodesic_distance(out_cost + _STEP_COST, out_seeds, steps=_PATH_VOXELS)
    paths = torch.stack([in_path, 4 * in_barrier, out_path], dim=1)
    paths = F.interpolate(torch.exp(-_FALL * paths), scale_factor=2, mode="trilinear", align_corners=False)
    full = torch.stack(
        [soft, wide, soft_difference, wide_difference, in_near, in_far, out_near, out_far, previous, text], dim=1
    )
    return torch.cat([full, paths], dim=1)


def _smooth(x: Tensor) -> Tensor:
    return F.avg_pool3d(F.pad(x[:, None], (1,) * 6, mode="replicate"), 3, stride=1)[:, 0]


def _nearest_difference(values: Tensor, smooth: Tensor, points: Sequence[Sequence[float]]) -> Tensor:
    """Intensity minus that of the click that is most alike, times 2; zero without clicks. `smooth` has the clicks."""
    if not points:
        return torch.zeros_like(values)
    levels = torch.stack([smooth[_voxel(point, smooth.shape)] for point in points])
    differences = values[None] - levels[:, None, None, None]
    nearest = differences.abs().argmin(dim=0, keepdim=True)
    return (2 * differences.gather(0, nearest)[0]).clamp(-1, 1)


def _distances(points: Sequence[Sequence[float]], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Proximity of the nearest click at two scales: 1 at the click, falling to 0."""
    i, j, k = shape
    if not points:
        return torch.zeros(i, j, k), torch.zeros(i, j, k)
    axes = [
        (torch.arange(length, dtype=torch.float32)[None] - torch.tensor([[p[axis]] for p in points])) ** 2
        for axis, length in enumerate(shape)
    ]
    squared = (axes[0][:, :, None, None] + axes[1][:, None, :, None] + axes[2][:, None, None, :]).amin(dim=0)
    return torch.exp(-squared / (2 * _NEAR_VOXELS**2)), torch.exp(-squared.sqrt() / _FAR_VOXELS)


def _seeds(clicks: Sequence[WindowClick], shape: Sequence[int], *, wanted: bool) -> Tensor:
    seeds = torch.zeros(tuple(shape), dtype=torch.bool)
    for point, is_inside in clicks:
        if is_inside == wanted:
            seeds[_voxel([(value - 0.5) / 2 for value in point], shape)] = True
    return seeds


def _voxel(point: Sequence[float], shape: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = (min(max(round(value), 0), length - 1) for value, length in zip(point, shape, strict=True))
    return i, j, k
