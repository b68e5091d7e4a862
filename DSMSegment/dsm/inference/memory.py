"""Memory available for an encoding."""

from __future__ import annotations

import torch

from dsm.core.memory import main_memory

# The rest belongs to the viewer, to the page cache that keeps the machine responsive, and to our own estimate's error.
_USABLE_FRACTION = 0.6


def usable_bytes(device: torch.device) -> int:
    """Return the bytes that an encoding may use on `device`: part of the free memory, within process limits."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else main_memory().free
    return int(_USABLE_FRACTION * free)
