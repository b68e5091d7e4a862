"""Diffusion-guided feature fusion: a semantic diffusion module between two levels of the pixel decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.convolution import Conv3d, normed
from dsm.ops.semantic_diffusion import semantic_difference

# The eight corners of a 3³ kernel with the sign of the third mixed difference.
_CORNERS = {(i, j, k): -1.0 if (i + j + k) % 4 == 0 else 1.0 for i in (0, 2) for j in (0, 2) for k in (0, 2)}


class DiffusionFusion(nn.Module):
    """Sharpen features where the coarser level has a boundary too, then fuse both.

    `U' = U + γ ReLU(BN(W (ΔU ⊙ ΔG ⊙ ΔG)))`, `F = conv([G; U'])`. γ starts at 0, so the module starts as plain fusion.

    Args:
        channels: Channels of the features and of the result.
        guidance_channels: Channels of the guidance.

    References:
        DSM (arXiv 2506.12747), semantic diffusion module, with depthwise-separable convolutions in place of dense ones.
    """

    def __init__(self, channels: int, guidance_channels: int) -> None:
        super().__init__()
        self.guide = Conv3d(guidance_channels, channels, 1, bias=False)
        self.guide_norm = nn.BatchNorm3d(channels)
        self.feature_kernel = nn.Parameter(_difference_kernels(channels))
        self.guidance_kernel = nn.Parameter(_difference_kernels(channels))
        self.mix = Conv3d(channels, channels, 1, bias=False)
        self.mix_norm = nn.BatchNorm3d(channels)
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.fuse = Conv3d(2 * channels, channels, 1, bias=False)
        self.smooth = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(channels)
        self.activation = nn.GELU()

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Fuse `(batch, channels, i, j, k)` with guidance of the same or half the size."""
        guide = normed(self.guide, self.guide_norm, guidance)
        if guide.shape[2:] != features.shape[2:]:
            guide = F.interpolate(guide, scale_factor=2.0, mode="nearest")
        change = semantic_difference(features, guide, self.feature_kernel, self.guidance_kernel)
        diffused = features + self.gamma[:, None, None, None] * F.relu(normed(self.mix, self.mix_norm, change))
        return self.activation(normed(self.smooth, self.norm, self.fuse(torch.cat([guide, diffused], dim=1))))


def _difference_kernels(channels: int) -> Tensor:
    """Random taps with the corners set to the third mixed difference. Small, because their product is cubed."""
    kernels = 0.1 * torch.randn(channels, 1, 3, 3, 3)
    for (i, j, k), sign in _CORNERS.items():
        kernels[:, 0, i, j, k] = 0.35 * sign
    return kernels
