"""Conditions under which oneDNN's own functions, part of torch, replace torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def is_plain(x: Tensor, weight: Tensor) -> bool:
    """Return whether a call is plain inference: no gradients, float32, on a CPU."""
    if torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return False
    return x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
