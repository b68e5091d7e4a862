"""Sum of a map and a coarser one."""

from __future__ import annotations

from torch import Tensor


def add_doubled_(x: Tensor, coarse: Tensor) -> Tensor:
    """Add a map of half the size, each voxel to eight, in place: `x += interpolate(coarse, "nearest")`.

    In channels-last memory only k is doubled first, so that the rest is sums of long rows.

    Args:
        x: `(1, channels, i, j, k)`, channels last.
        coarse: `(1, channels, i/2, j/2, k/2)`.

    Returns:
        `x`.
    """
    rows = coarse[0].movedim(0, -1).repeat_interleave(2, dim=2).flatten(2)
    i, j, length = rows.shape
    x[0].movedim(0, -1).view(i, 2, j, 2, length).add_(rows[:, None, :, None])
    return x
