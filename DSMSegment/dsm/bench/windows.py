"""Number of windows in sliding-window inference, and a timed run of some of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dsm.bench.stopwatch import Cost, Stopwatch
from dsm.core.boxes import Index3

# Of the window's edge: the Gaussian that both nnU-Net and MONAI weigh a window's logits with.
_SIGMA = 0.125


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over a volume, evenly spaced, as nnU-Net and MONAI lay them.

    Args:
        edges: Of a window.
        step: From one window to the next, as a fraction of the edge (1 minus the overlap).
    """

    edges: Index3
    step: float

    def padded(self, shape: Index3) -> Index3:
        """Return the shape of a volume after padding it to one window at least."""
        i, j, k = (max(n, edge) for n, edge in zip(shape, self.edges, strict=True))
        return i, j, k

    def corners(self, shape: Index3) -> list[Index3]:
        """Return the first voxel of every window over a padded volume."""
        axes = []
        for length, edge in zip(self.padded(shape), self.edges, strict=True):
            count = math.ceil((length - edge) / (edge * self.step)) + 1
            spread = (length - edge) / max(1, count - 1)
            axes.append([round(spread * n) for n in range(count)])
        return [(i, j, k) for i, j, k in product(*axes)]


@dataclass(frozen=True, slots=True)
class Slid:
    """Cost of sliding-window inference.

    Args:
        logits: Weighted mean where windows were run `(classes, I/stride, J/stride, K/stride)`.
        cost: Of all windows.
        flops: Of one window.
        num_windows: All of them.
        num_run: Those that were run; the cheapest of them stands for each other one.
    """

    logits: Tensor
    cost: Cost
    flops: float
    num_windows: int
    num_run: int


def slide(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    windows: Windows,
    *,
    num_classes: int,
    dtype: torch.dtype,
    stride: int,
    most: int,
) -> Slid:
    """Run the first `most` windows and add up their weighted logits.

    Args:
        net: `(1, 1, window)` → `(1, num_classes, window / stride)`.
        image: `(1, I, J, K)`, padded.
        windows: Where they lie.
        num_classes: Channels of the sum.
        dtype: Of the sum; nnU-Net adds in float16.
        stride: Voxels a voxel of the logits.
        most: Windows that are run.
    """
    i, j, k = image.shape[1:]
    corners = windows.corners((i, j, k))
    shape = [math.ceil(n / stride) for n in (i, j, k)]
    logits, weights = torch.zeros((num_classes, *shape), dtype=dtype), torch.zeros(shape, dtype=dtype)
    gauss = _gaussian([edge // stride for edge in windows.edges]).to(dtype)
    costs, flops = [], 0.0
    for number, corner in enumerate(corners[:most]):
        clock = Stopwatch()
        counter = FlopCounterMode(display=False)
        with clock.stage("window"):
            window = image[(slice(None), *_inside(corner, windows.edges, 1))][None]
            if number == 0:
                with counter:
                    found = net(window)
                flops = float(counter.get_total_flops())
            else:
                found = net(window)
            inside = _inside(corner, windows.edges, stride)
            logits[(slice(None), *inside)] += found[0].to(dtype) * gauss
            weights[inside] += gauss
        costs.append(clock.total)
    clock = Stopwatch()
    with clock.stage("divide"):
        logits /= weights.clamp_min(1e-4)
    rest = min(costs, key=lambda cost: cost.cpu_s) * (len(corners) - len(costs))
    cost = sum(costs, rest) + clock.total
    return Slid(logits, cost, flops, num_windows=len(corners), num_run=len(costs))


def _inside(corner: Index3, edges: Index3, stride: int) -> tuple[slice, ...]:
    return tuple(slice(n // stride, n // stride + edge // stride) for n, edge in zip(corner, edges, strict=True))


def _gaussian(edges: list[int]) -> Tensor:
    result = torch.ones(())
    for edge in edges:
        position = torch.arange(edge) - (edge - 1) / 2
        result = result[..., None] * torch.exp(-0.5 * (position / (_SIGMA * edge)).square())
    # Not 0 anywhere, float16 included: a voxel that only the corner of a window sees still gets its logits.
    return (result / result.max()).clamp_min(1e-3)
