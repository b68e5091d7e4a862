"""3³ convolutions in 8-bit integers through oneDNN: about half the time of float32, even without VNNI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# What torch's own quantiser calls. They have no public names, so another torch may lack them.
_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_PACK = getattr(torch.ops.onednn, "qconv_prepack", None) if _HAS_ONEDNN else None
_CONVOLUTION = getattr(torch.ops.onednn, "qconv3d_pointwise", None) if _HAS_ONEDNN else None
_ONCE = (1, 1, 1)
_WEIGHT_LEVELS = 127
# Seven bits: processors without VNNI add pairs of products in 16 bits, which 127 · 127 · 2 just fits.
_INPUT_LEVELS = 127
_PLANES = 2  # at a time, so that they stay in the processor's cache


class Int8Weight(NamedTuple):
    """Weights of a convolution: in oneDNN's memory order, and what one level of each output channel is worth."""

    packed: Tensor
    scale: Tensor


def has_int8() -> bool:
    """Return whether the installed torch supports 8-bit convolutions."""
    return _PACK is not None and _CONVOLUTION is not None


def pack(weight: Tensor, *, padding: Sequence[int]) -> Int8Weight:
    """Round weights `(out_channels, channels, a, b, c)` to 8 bits, each output channel by its own largest."""
    scale = weight.flatten(1).abs().amax(dim=1).clamp_min(1e-12) / _WEIGHT_LEVELS
    levels = (weight / scale[:, None, None, None, None]).round().to(torch.int8)
    return Int8Weight(_PACK(levels, scale, 1.0, 0, _ONCE, padding, _ONCE, 1, None), scale)  # type: ignore[misc]


def int8_convolution(x: Tensor, weight: Int8Weight, bias: Tensor | None, *, padding: Sequence[int]) -> Tensor:
    """Convolve.

    Args:
        x: `(batch, channels, i, j, k)`, float32; rounded to seven bits between its extremes.
        weight: From `pack`.
        bias: `(out_channels,)`.
        padding: Zeros along i, j, k.

    Returns:
        `(batch, out_channels, i, j, k)`, float32.
    """
    levels, scale, zero = _rounded(x)
    offsets = torch.zeros(len(weight.scale), dtype=torch.int64)
    result: Tensor = _CONVOLUTION(  # type: ignore[misc]
        levels, scale, zero, weight.packed, weight.scale, offsets, bias, _ONCE, padding, _ONCE, 1,
        1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return result


def _rounded(x: Tensor) -> tuple[Tensor, float, int]:
    """Seven-bit levels of `x`, uint8 in its memory order; what a level is worth; which level is zero."""
    voxels = x.movedim(
        1, -1
    )  # as channels-last maps lie in memory: otherwise finding the extremes takes as long as all
    low, high = (float(value) for value in voxels.aminmax())
    low, high = min(low, 0.0), max(high, 0.0)  # zero must be a level, for the padding
    scale = max(high - low, 1e-12) / _INPUT_LEVELS
    zero = round(-low / scale)
    levels = torch.empty_like(voxels, dtype=torch.uint8)
    half = torch.tensor(zero + 0.5)
    for part, into in zip(voxels.split(_PLANES, dim=1), levels.split(_PLANES, dim=1), strict=True):
        into.copy_(torch.add(half, part, alpha=1 / scale))
    return levels.movedim(-1, 1), scale, zero
