"""Geometry, random numbers, and absent names of lesions that are put into crops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.training.crops import Crop


class Draw:
    """Random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """Draw a number from `low` to `high`."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def integer(self, stop: int) -> int:
        """Draw a number from 0 to `stop - 1`."""
        return int(torch.randint(stop, (), generator=self.generator))

    def smooth_noise(self, size: Sequence[int], cells: int) -> Tensor:
        """Low-frequency noise of about unit range."""
        grid = torch.rand(1, 1, cells, cells, cells, generator=self.generator) * 2 - 1
        return F.interpolate(grid, tuple(size), mode="trilinear", align_corners=True)[0, 0]

    def axes(self) -> Tensor:
        """Rotation with axes stretched by up to 1.5."""
        rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=self.generator))
        stretch = torch.exp((torch.rand(3, generator=self.generator) - 0.5) * 2 * math.log(1.5))
        return torch.diag(stretch) @ rotation


def even_box(center: Tensor, reach: float, shape: Sequence[int]) -> list[tuple[int, int]]:
    """Box around a point with even borders, so that it is a box of the half-resolution masks as well."""
    box = []
    for c, n in zip(center.tolist(), shape, strict=True):
        start = max(0, int(c - reach) // 2 * 2)
        stop = min(n, (int(c + reach) // 2 + 1) * 2)
        box.append((start, stop))
    return box


def offsets_from(box: Sequence[tuple[int, int]], center: Tensor, step: int = 1) -> Tensor:
    """Vectors from the centre to the voxels of a box in image voxels `(i, j, k, 3)`; `step` 2 for the masks' grid."""
    first = (step - 1) / 2
    axes = [torch.arange(low, high, step) + first - c for (low, high), c in zip(box, center.tolist(), strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def doubled(mask: Tensor) -> Tensor:
    """Repeat each voxel `(i, j, k)` along each axis: the half-resolution mask on the image's grid."""
    for axis in range(3):
        mask = mask.repeat_interleave(2, dim=axis)
    return mask


def with_absent(crop: Crop, names: Sequence[str]) -> Crop:
    """Return the crop with names that it does not show: their masks are empty."""
    empty = torch.zeros_like(crop.masks[:1]).expand(len(names), -1, -1, -1)
    return replace(crop, masks=torch.cat([crop.masks, empty]), names=(*crop.names, *names))
