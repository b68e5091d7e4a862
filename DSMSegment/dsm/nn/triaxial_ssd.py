"""Tri-axial bidirectional state-space block: the whole volume as one sequence, along each axis, both ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsm.nn.mamba2 import Mamba2

# Raster orders: the last axis named runs fastest.
_ORDERS = ((2, 3, 4), (3, 4, 2), (4, 2, 3))


class TriaxialSSD(nn.Module):
    """Add the context of six scans over the whole volume to each voxel.

    Linear in the number of voxels, which is what makes whole-volume context affordable; used at 12 and 24 mm only.

    Args:
        channels: Channels in and out.

    Shape:
        `(batch, channels, i, j, k)` → the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.forward_scans = nn.ModuleList(Mamba2(channels, expand=1) for _ in _ORDERS)
        self.backward_scans = nn.ModuleList(Mamba2(channels, expand=1) for _ in _ORDERS)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block; see the class for shapes."""
        normed = self.norm(features.movedim(1, -1)).movedim(-1, 1)
        context = torch.zeros_like(features)
        # A loop, not a batch of six: stacked directions fall out of the cache on CPUs (3x slower, measured).
        for order, ahead, behind in zip(_ORDERS, self.forward_scans, self.backward_scans, strict=True):
            permuted = normed.permute(0, *order, 1)
            sequence = permuted.flatten(1, 3)
            scanned = ahead(sequence) + behind(sequence.flip(1)).flip(1)
            axes = (0, *order, 1)
            inverse = [axes.index(axis) for axis in range(5)]
            context = context + scanned.reshape(permuted.shape).permute(inverse)
        return features + self.scale[:, None, None, None] * context
