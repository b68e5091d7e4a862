"""Convolutions through oneDNN, fused with an activation or a residual sum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.gelu import gelu
from dsm.ops.onednn import inference_dtype

# What torch's own compiler calls. They have no public names, so another torch may lack them.
_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_ONEDNN_CONVOLUTION = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if _HAS_ONEDNN else None
_ONEDNN_SUM = getattr(torch.ops.mkldnn, "_convolution_pointwise_", None) if _HAS_ONEDNN else None
_ONCE = (1, 1, 1)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sequence[int] = _ONCE,
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = _ONCE,
    activation: str = "none",
) -> Tensor:
    """Convolve and activate.

    Args:
        x: `(batch, channels, i, j, k)`.
        weight: `(out_channels, channels, a, b, c)`.
        bias: `(out_channels,)`.
        stride: Along i, j, k.
        padding: Zeros along i, j, k.
        dilation: Along i, j, k.
        activation: `"relu"`, `"gelu"` or `"none"`.

    Returns:
        `(batch, out_channels, ...)`.
    """
    dtype = inference_dtype(x, weight)
    if _ONEDNN_CONVOLUTION is None or dtype is None:
        return _activated(_convolved(x, weight, bias, stride, padding, dilation), activation)
    x, weight, bias = _cast(dtype, x, weight, bias)
    result: Tensor = _ONEDNN_CONVOLUTION(x, weight, bias, padding, stride, dilation, 1, activation, [], "none")
    return result


def add_convolution(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: Sequence[int]
) -> Tensor:
    """Return `relu(total + convolution(x))`, in the memory of `total` where that can be.

    Args:
        total: Shape of the result; overwritten.
        x: `(batch, channels, i, j, k)`.
        weight: `(out_channels, channels, a, b, c)`.
        bias: `(out_channels,)`.
        padding: Zeros along i, j, k.
    """
    dtype = inference_dtype(x, weight)
    if _ONEDNN_SUM is None or dtype is None or total.dtype != dtype:
        return F.relu_(F.conv3d(x, weight, bias, padding=tuple(padding)).add_(total))
    x, weight, bias = _cast(dtype, x, weight, bias)
    result: Tensor = _ONEDNN_SUM.binary(
        total, x, weight, bias, padding, _ONCE, _ONCE, 1, "add", 1.0, "relu", [], "none"
    )
    return result


def _cast(dtype: torch.dtype, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    if weight[0, 0].numel() == 1 and max(stride) == 1 and not any(padding):
        # torch makes a product of it as well, but copies channels-last input first.
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
    return F.conv3d(x, weight, bias, tuple(stride), tuple(padding), tuple(dilation))


def _activated(x: Tensor, activation: str) -> Tensor:
    return {"none": lambda y: y, "relu": F.relu, "gelu": gelu}[activation](x)
