"""Memory that an encoding may take."""

from __future__ import annotations

import torch

from dsm.core.memory import main_memory

# The rest belongs to the viewer, to the page cache that keeps the machine responsive, and to our own estimate's error.
_USABLE_FRACTION = 0.6


def usable_bytes(device: torch.device) -> int:
    """Return what an encoding may take on `device`: part of what is free now, within the limits of this process."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else main_memory().free
    return int(_USABLE_FRACTION * free)
