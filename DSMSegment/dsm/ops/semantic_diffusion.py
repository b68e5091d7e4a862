"""Semantic diffusion: one learned step of anisotropic diffusion, steered by a coarser, more semantic map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def semantic_difference(features: Tensor, guidance: Tensor, feature_kernel: Tensor, guidance_kernel: Tensor) -> Tensor:
    """Multiply local differences of features by squared local differences of the guidance.

    Args:
        features: `(batch, channels, i, j, k)`.
        guidance: Same shape: the upsampled coarser level.
        feature_kernel: Depthwise kernels `(channels, 1, 3, 3, 3)`.
        guidance_kernel: Depthwise kernels `(channels, 1, 3, 3, 3)`.

    Returns:
        `ΔU ⊙ ΔG ⊙ ΔG`, same shape: large where a boundary of the features coincides with one of the guidance.

    References:
        DSM (arXiv 2506.12747), diffusion-guided feature fusion; after SDN (Tan et al. 2022, arXiv 2302.02057).
    """
    channels = features.shape[1]
    # Never in half precision: differences lose digits, and depthwise gradients in bfloat16 are 5 times slower.
    with torch.autocast(features.device.type, enabled=False):
        feature_change = F.conv3d(features.to(feature_kernel.dtype), feature_kernel, padding=1, groups=channels)
        guidance_change = F.conv3d(guidance.to(guidance_kernel.dtype), guidance_kernel, padding=1, groups=channels)
        return feature_change * guidance_change.square()
