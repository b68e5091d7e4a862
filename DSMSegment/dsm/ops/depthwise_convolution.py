"""Depthwise 3³ convolution whose gradients are fast on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def depthwise_convolution(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each channel with a 3³ kernel of its own, zeros around the map.

    torch's own weight gradient is a reference loop on CPUs: for 64 channels on 28³ voxels 85 ms, here 5 ms.

    Args:
        x: `(batch, channels, i, j, k)`.
        kernels: `(channels, 1, 3, 3, 3)`.

    Returns:
        `(batch, channels, i, j, k)`.
    """
    if x.device.type != "cpu" or not (torch.is_grad_enabled() and (x.requires_grad or kernels.requires_grad)):
        return F.conv3d(x, kernels, padding=1, groups=len(kernels))
    result: Tensor = _Depthwise.apply(x, kernels)
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernels)
        return F.conv3d(x, kernels, padding=1, groups=len(kernels))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, kernels = ctx.saved_tensors
        for_x = for_kernels = None
        if ctx.needs_input_grad[0]:  # the transposed convolution is a convolution with the flipped kernel
            for_x = F.conv3d(grad, kernels.flip((2, 3, 4)), padding=1, groups=len(kernels))
        if ctx.needs_input_grad[1]:
            for_kernels = _kernel_gradient(grad, x)
        return for_x, for_kernels


def _kernel_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Planes along i are a batch of 2-D maps: each offset along i is one 2-D depthwise gradient."""
    channels, size = x.shape[1], x.shape[2]
    weight = x.new_empty((channels, 1, 3, 3))
    planes, grad_planes = _planes(x), _planes(grad)
    parts = []
    for offset in (-1, 0, 1):
        first, last = max(0, -offset), size - max(0, offset)
        if last <= first:
            parts.append(torch.zeros_like(weight))
            continue
        g = grad_planes[:, first:last].flatten(0, 1)
        p = planes[:, first + offset : last + offset].flatten(0, 1)
        parts.append(_plane_gradient(g, p, weight, channels))
    return torch.stack(parts, dim=2)


def _planes(x: Tensor) -> Tensor:
    """`(batch, channels, i, j, k)` → `(batch, i, channels, j, k)`, channels last in memory."""
    return x.permute(0, 2, 3, 4, 1).contiguous().permute(0, 1, 4, 2, 3)


def _plane_gradient(grad: Tensor, x: Tensor, weight: Tensor, channels: int) -> Tensor:
    _, found, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], channels, [False, True, False]
    )
    return found  # type: ignore[no-any-return]
