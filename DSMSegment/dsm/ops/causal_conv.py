"""Short causal depthwise convolution of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Steps at a time on a CPU, so that the passes over them find them in the cache.
_STEPS = 2048


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve each channel with the step itself and the ones before it.

    Without gradients on a CPU it goes tap by tap in the memory order of sequences: `conv1d` wants channels first, and
    turning there and back takes longer than the convolution.

    Args:
        x: `(batch, length, channels)`.
        weight: `(channels, 1, width)`; the last tap is the step itself.
        bias: `(channels,)`.

    Returns:
        `(batch, length, channels)`.
    """
    width, length = weight.shape[-1], x.shape[1]
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and x.requires_grad):
        before = F.conv1d(x.transpose(1, 2), weight, bias, padding=width - 1, groups=len(weight))
        return before[..., :length].transpose(1, 2)
    taps = weight[:, 0].T.contiguous()
    bias = taps.new_zeros(()) if bias is None else bias
    result = x.new_empty(x.shape)
    for start in range(0, length, _STEPS):
        stop = min(length, start + _STEPS)
        part = torch.addcmul(bias, x[:, start:stop], taps[-1])
        for back in range(1, width):
            skipped = max(0, back - start)  # before the beginning there is nothing
            part[:, skipped:].addcmul_(x[:, start + skipped - back : stop - back], taps[-1 - back])
        result[:, start:stop] = part
    return result
