"""Semantic diffusion: one learned step of anisotropic diffusion, steered by a coarser, more semantic map."""

from __future__ import annotations

import torch
from torch import Tensor

from dsm.ops.depthwise_convolution import depthwise_convolution


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
    # Never in half precision: differences lose digits.
    with torch.autocast(features.device.type, enabled=False):
        feature_change = depthwise_convolution(features.to(feature_kernel.dtype), feature_kernel)
        guidance_change = depthwise_convolution(guidance.to(guidance_kernel.dtype), guidance_kernel)
        return feature_change * guidance_change.square()
