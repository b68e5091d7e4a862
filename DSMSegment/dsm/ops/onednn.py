"""Conditions under which oneDNN's own functions, part of torch, replace torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def is_plain(x: Tensor, weight: Tensor) -> bool:
    """Return whether a call is plain inference: no gradients, float32, on a CPU."""
    if torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return False
    return x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"


def inference_dtype(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type in which a call is plain inference on a CPU: bfloat16 under autocast to it, float32 else.

    None with gradients, in other types, or on another device.
    """
    if is_plain(x, weight):
        return torch.float32
    if (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    ):
        return torch.bfloat16
    return None
