"""Peak convolution throughput of this machine, the reference of the other figures."""

from __future__ import annotations

import time

import torch
from torch.nn import functional as F

# Channels and edge: large enough to leave the first caches, small enough to take tenths of a second.
_SHAPES = ((32, 64), (64, 48), (128, 32))
_ROUNDS = 3


@torch.inference_mode()
def conv_peak_gflops() -> float:
    """Measure dense 3³ convolutions in both memory formats, in CPU seconds of all threads.

    Returns:
        10⁹ floating-point operations a CPU second, of the fastest.
    """
    best = 0.0
    for channels, edge in _SHAPES:
        weight = torch.randn(channels, channels, 3, 3, 3)
        flops = 2 * weight.numel() * edge**3
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            x = torch.randn(1, channels, edge, edge, edge).contiguous(memory_format=layout)
            laid_out = weight.contiguous(memory_format=layout)
            for _ in range(_ROUNDS):
                began = time.process_time()
                F.conv3d(x, laid_out, padding=1)
                best = max(best, flops / (time.process_time() - began) / 1e9)
    return best
