"""Pixel decoder: feature maps at 24, 12 and 6 mm for the queries, and the normalised embedding at 3 mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.convolution import Conv3d, NormedConvolution, normed
from dsm.nn.diffusion_fusion import DiffusionFusion
from dsm.ops.add_doubled import add_doubled_
from dsm.ops.gelu import gelu
from dsm.ops.unit_length import unit_length


class Levels(NamedTuple):
    """Maps at 24, 12 and 6 mm."""

    f16: Tensor
    f8: Tensor
    f4: Tensor


class PixelFeatures(NamedTuple):
    """Output of the pixel decoder: coarse to fine maps and the unit-length embedding."""

    f16: Tensor
    f8: Tensor
    f4: Tensor
    embedding: Tensor


class PixelDecoder(nn.Module):
    """Top-down path with diffusion-guided fusion at each level.

    At 24 mm the guidance is the level itself after state-space context (there is nothing coarser).

    Args:
        encoder_channels: Widths of the encoder at strides 2, 4, 8, 16.
        channels: Widths of the maps at strides 4, 8, 16.
        embed_dim: Channels of the embedding.
    """

    def __init__(self, encoder_channels: Sequence[int], channels: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        e2, e4, e8, e16 = encoder_channels
        c4, c8, c16 = channels
        self.lateral16 = _pointwise(e16, c16)
        self.lateral8 = _pointwise(e8, c8)
        self.lateral4 = _pointwise(e4, c4)
        self.fusion16 = DiffusionFusion(c16, e16)
        self.fusion8 = DiffusionFusion(c8, c16)
        self.fusion4 = DiffusionFusion(c4, c8)
        self.lateral2 = _pointwise(e2, embed_dim)
        self.up2 = _pointwise(c4, embed_dim)
        self.refine = nn.Conv3d(embed_dim, embed_dim, 3, padding=1, bias=False)
        self.refine_norm = nn.BatchNorm3d(embed_dim)
        self.refine_activation = nn.GELU()
        self.project = Conv3d(embed_dim, embed_dim, 1)

    def forward(self, f2: Tensor, f4: Tensor, f8: Tensor, f16: Tensor) -> PixelFeatures:
        """Decode encoder features, fine to coarse, `(batch, channels, i, j, k)` each."""
        levels = self.levels(f4, f8, f16)
        return PixelFeatures(*levels, self.embed(f2, levels.f4))

    def levels(self, f4: Tensor, f8: Tensor, f16: Tensor) -> Levels:
        """Decode the coarse levels: a small part of the cost, and of the memory."""
        d16 = self.fusion16(self.lateral16(f16), f16)
        d8 = self.fusion8(self.lateral8(f8), d16)
        return Levels(d16, d8, self.fusion4(self.lateral4(f4), d8))

    def embed(self, f2: Tensor, d4: Tensor) -> Tensor:
        """Make the embedding from stride-2 features and the 6 mm map; local, so it may be made in slabs too."""
        merged = gelu(self.join(f2, self.up2(d4)))
        return unit_length(self._project(merged, normed(self.refine, self.refine_norm, merged)))

    def join(self, f2: Tensor, up: Tensor) -> Tensor:
        """First part of `embed`, voxel by voxel: the sum of stride-2 features and what `up2` made of the 6 mm map."""
        # 1×1 before nearest upsampling: trilinear upsampling of many channels costs more than the convolutions.
        fine = self.lateral2(f2)
        if torch.is_grad_enabled() or not fine.is_contiguous(memory_format=torch.channels_last_3d) or len(fine) > 1:
            return fine + F.interpolate(up, scale_factor=2.0, mode="nearest")  # type: ignore[no-any-return]
        return add_doubled_(fine, up)

    def finish(self, merged: Tensor, refined: Tensor) -> Tensor:
        """Last part of `embed`, voxel by voxel and not yet normalised: from the activated sum and `refine` of it."""
        return self._project(merged, self.refine_norm(refined))

    def _project(self, merged: Tensor, refined: Tensor) -> Tensor:
        return self.project(merged + self.refine_activation(refined))  # type: ignore[no-any-return]


def _pointwise(in_channels: int, channels: int) -> nn.Sequential:
    return NormedConvolution(Conv3d(in_channels, channels, 1, bias=False), nn.BatchNorm3d(channels))
