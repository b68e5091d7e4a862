"""Convolutions optimised for training: 1³ kernels as matrix products, frozen normalisations folded."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` that is a matrix product where the kernel is one voxel and gradients are wanted on a CPU.

    On channels-last maps torch's own 1x1x1 convolution takes ten times as long as the product, forward and backward.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, i, j, k)` → `(batch, out_channels, i', j', k')`."""
        return convolve(x, self.weight, self.bias, self)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, like: nn.Conv3d) -> Tensor:
    """Convolve with other weights than those of `like`, whose stride and padding hold.

    Args:
        x: `(batch, channels, i, j, k)`.
        weight: `(out_channels, channels, a, b, c)`.
        bias: `(out_channels,)`.
        like: Gives stride, padding, dilation and groups.

    Returns:
        `(batch, out_channels, i', j', k')`.
    """
    if torch.is_grad_enabled() and x.device.type == "cpu" and like.kernel_size == (1, 1, 1) == like.stride:
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
    return F.conv3d(x, weight, bias, like.stride, like.padding, like.dilation, like.groups)


def normed(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Return `norm(conv(x))`, as one convolution where training has frozen the normalisation.

    A frozen BatchNorm is a scale and a shift of each channel, so both go into the weights of the convolution, and its
    parameters get the same gradients through them; two passes over the map are saved forward, and four backward.

    Args:
        conv: A convolution, or what an inference network has in its place.
        norm: A BatchNorm, or what an inference network has in its place.
        x: `(batch, channels, i, j, k)`.
    """
    if not torch.is_grad_enabled() or norm.training or not _foldable(conv, norm):
        return norm(conv(x))  # type: ignore[no-any-return]
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # type: ignore[operator]  # known to be a BatchNorm
    weight = conv.weight * scale[:, None, None, None, None]
    bias = norm.bias - norm.running_mean * scale  # type: ignore[operator]
    if conv.bias is not None:
        bias = bias + conv.bias * scale
    return convolve(x, weight, bias, conv)  # type: ignore[arg-type]


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    return isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)


class NormedConvolution(nn.Sequential):
    """A convolution and its BatchNorm."""

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d) -> None:
        super().__init__(conv, norm)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, i, j, k)` → `(batch, out_channels, i, j, k)`."""
        return normed(self[0], self[1], x)
