"""Geodesic distances in an image: voxels behind a border are far."""

from __future__ import annotations

import torch
from torch import Tensor


def geodesic_distance(cost: Tensor, seeds: Tensor, *, steps: int) -> Tensor:
    """Find the least sum of costs along a path from the seeds; 26 neighbours, each step counts alike.

    Args:
        cost: Of entering a voxel, at least 0, `(batch, i, j, k)`.
        seeds: Bool, same shape: where paths begin.
        steps: Longest path in voxels.

    Returns:
        Same shape, float32; `inf` where no path of that length leads.

    References:
        Geodesic maps of clicks as input of a network: DeepIGeoS, Wang et al. 2018 (arXiv 1707.00652).
    """
    distance = torch.where(seeds, 0.0, torch.inf)
    for _ in range(steps):
        distance = torch.minimum(distance, _least_of_neighbours(distance) + cost)
    return distance


def highest_barrier(cost: Tensor, seeds: Tensor, *, steps: int) -> Tensor:
    """Find the least maximum of the costs along a path from the seeds: the tolerance at which a flood fill gets there.

    Args:
        cost: As in `geodesic_distance`.
        seeds: As in `geodesic_distance`.
        steps: Longest path in voxels.
    """
    barrier = torch.where(seeds, 0.0, torch.inf)
    for _ in range(steps):
        barrier = torch.minimum(barrier, torch.maximum(_least_of_neighbours(barrier), cost))
    return barrier


def _least_of_neighbours(x: Tensor) -> Tensor:
    for axis in (1, 2, 3):
        length = x.shape[axis] - 1
        low, high = x.narrow(axis, 0, length), x.narrow(axis, 1, length)
        pairs = torch.minimum(low, high)
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, length, 1)
        x = torch.minimum(torch.cat([first, pairs], axis), torch.cat([pairs, last], axis))
    return x
