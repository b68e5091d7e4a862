"""Conditions under which oneDNN's own functions, part of torch, replace torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def inference_dtype(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type in which a call is plain inference on a CPU: bfloat16 under autocast to it, float32 else.

    None with gradients, in other types, or on another device.
    """
    if x.device.type != "cpu" or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return None
    if torch.is_autocast_enabled("cpu"):
        return torch.bfloat16 if torch.get_autocast_dtype("cpu") == torch.bfloat16 else None
    return torch.float32 if x.dtype == weight.dtype == torch.float32 else None
