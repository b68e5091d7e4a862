"""Mapping of intensities to the input channels of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Of the body: what lies outside is noise, or vessels and fat that would press everything else into a few grey values.
MR_PERCENTILES = (0.5, 99.5)

# A quantile of so many values is known to far better than a grey value; more would only cost time.
_MAX_SAMPLES = 1_000_000


def window_channels(image: Tensor, windows: Sequence[tuple[float, float] | None]) -> Tensor:
    """Map intensities to one channel in [0, 1] a window.

    Args:
        image: `(I, J, K)`, HU for CT.
        windows: Lowest and highest intensity of each channel; outside it is clipped. None: a channel
            of zeros.

    Returns:
        `(C, I, J, K)`, float32.
    """
    image = image.to(torch.float32)
    channels = torch.empty((len(windows), *image.shape), dtype=torch.float32, device=image.device)
    for channel, window in zip(channels, windows, strict=True):
        if window is None:
            channel.zero_()
            continue
        low, high = window
        torch.sub(image, low, out=channel)
        channel.mul_(1.0 / (high - low)).clamp_(0.0, 1.0)
    return channels


def windows_of_scan(image: Tensor, windows: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """Return which windows add information about a CT to the first one.

    Many CTs were stored in 8 bits and hold nothing outside of a soft-tissue window: a wider window would show their
    air as fat. It is None there, and its channel is zero, which no window of a whole CT is.

    Args:
        image: `(I, J, K)`, HU, with the air around the body.
        windows: Of the model; the first is the one that all scans have.

    Returns:
        One for each window.
    """
    if len(windows) == 1:
        return list(windows)
    lowest, first_low = float(image.min()), windows[0][0]
    return [w if w[0] >= first_low or lowest < (w[0] + first_low) / 2 else None for w in windows]


def mr_windows(values: Tensor, count: int) -> list[tuple[float, float] | None]:
    """Windows of an MR image for a model of `count` windows: its percentiles, and nothing for the others.

    Args:
        values: Intensities of the body, any shape, at least one.
        count: Channels of the model.
    """
    return [percentile_window(values), *[None] * (count - 1)]


def percentile_window(values: Tensor) -> tuple[float, float]:
    """Find the window of an MR image, whose unit is arbitrary: the 0.5 and 99.5 percentiles of the body.

    Args:
        values: Intensities of the body, any shape, at least one.

    Returns:
        Lowest and highest intensity; never equal, so that a constant image does not divide by zero.
    """
    flat = values.reshape(-1).to(torch.float32)
    flat = flat[:: max(1, flat.numel() // _MAX_SAMPLES)]
    fractions = torch.tensor([p / 100 for p in MR_PERCENTILES], dtype=torch.float32, device=flat.device)
    low, high = torch.quantile(flat, fractions).tolist()
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))
