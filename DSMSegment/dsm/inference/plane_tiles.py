"""Maps that are computed a few planes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of a convolution that is given one plane more on either side along i.
_INNER_PADDING = (0, 1, 1)


def plane_tiles(count: int, planes: int) -> Iterator[tuple[int, int]]:
    """Yield the planes `start` to `stop - 1` of each tile of at most `planes`."""
    return ((start, min(count, start + planes)) for start in range(0, count, planes))


def sliding_window(
    like: Tensor, fill: Callable[[int, int, Tensor], object], *, planes: int, halo: int
) -> Iterator[tuple[int, int, Tensor]]:
    """Walk along i through a map that is never in memory as a whole.

    Args:
        like: A map `(1, channels, i, j, k)` of the same shape and type.
        fill: Called with `start`, `stop` and a tensor, into which it writes the planes `start` to `stop - 1`. Each is
            computed once, in their order, from even planes on if `planes` and `halo` are even.
        planes: Of a tile; at least twice `halo`.
        halo: Planes on either side of a tile.

    Yields:
        Of each tile the planes `start` to `stop - 1`, and `(1, channels, halo + stop - start + halo, j, k)`, channels
        last, with zeros beyond the map; overwritten by the next.
    """
    count = like.shape[2]
    shape = (1, like.shape[1], planes + 2 * halo, *like.shape[3:])
    room = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)
    room[:, :, :halo] = 0
    for start, stop in plane_tiles(count, planes):
        if start:
            room[:, :, : 2 * halo] = room[:, :, planes:]
        first, last = start + halo if start else 0, min(count, stop + halo)
        if first < last:
            fill(first, last, room[:, :, first - start + halo : last - start + halo])
        end = stop - start + 2 * halo
        room[:, :, min(end, count - start + halo) : end] = 0
        yield start, stop, room[:, :, :end]


def inner_planes(convolution: nn.Module, x: Tensor) -> Tensor:
    """Apply a 3³ convolution that pads by 1, and return all planes along i but the first and the last.

    Args:
        convolution: `nn.Conv3d`, or what an inference network has in its place: called with its padding.
        x: `(batch, channels, i, j, k)`.
    """
    if isinstance(convolution, nn.Conv3d):
        return F.conv3d(x, convolution.weight, convolution.bias, padding=_INNER_PADDING)
    return convolution(x, padding=_INNER_PADDING)  # type: ignore[no-any-return]
