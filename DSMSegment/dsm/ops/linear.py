"""Linear layer through oneDNN, which is part of torch: MKL, torch's default, is slow on AMD processors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.onednn import inference_dtype

# What torch's own compiler calls. It has no public name, so another torch may lack it.
_ONEDNN_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
# Rows at a time: oneDNN may want another memory order and would copy all of them.
_MOST_ROWS = 32768


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute `torch.nn.functional.linear`, up to 2.5 times as fast without gradients in float32 on a CPU.

    Args:
        x: `(..., channels)`.
        weight: `(out_channels, channels)`.
        bias: `(out_channels,)`.

    Returns:
        `(..., out_channels)`.
    """
    if _ONEDNN_LINEAR is None or inference_dtype(x, weight) is not torch.float32:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) <= _MOST_ROWS:
        result = _by_onednn(rows, weight, bias)
    else:
        result = rows.new_empty((len(rows), len(weight)))
        for part, into in zip(rows.split(_MOST_ROWS), result.split(_MOST_ROWS), strict=True):
            into.copy_(_by_onednn(part, weight, bias))
    return result.view(*x.shape[:-1], len(weight))


def _by_onednn(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    try:
        result: Tensor = _ONEDNN_LINEAR(rows, weight, bias, "none", [], "")  # type: ignore[misc]  # asked before
    except RuntimeError:  # no memory for another order
        return F.linear(rows, weight, bias)
    return result
