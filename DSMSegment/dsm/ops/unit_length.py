"""Unit-length normalisation with a memory-efficient gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_SMALLEST = 1e-12


def unit_length(x: Tensor) -> Tensor:
    """Compute `torch.nn.functional.normalize(x, dim=1)`; its gradient takes four passes over memory, not nine.

    Args:
        x: `(batch, channels, ...)`.

    Returns:
        The same shape, each vector of channels of length 1.
    """
    if torch.is_autocast_enabled(x.device.type) or not (torch.is_grad_enabled() and x.requires_grad):
        return F.normalize(x, dim=1)
    result: Tensor = _UnitLength.apply(x)
    return result


class _UnitLength(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(_SMALLEST)
        unit = x / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = (grad * unit).sum(dim=1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).div_(length)
