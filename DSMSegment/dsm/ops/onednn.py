"""When oneDNN's own functions, which are part of torch, may take over from torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether nothing but the numbers is asked for: no gradients, no other type than float32, no other device."""
    if torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return False
    return x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
