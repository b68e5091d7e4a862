"""The embedding at 3 mm a few planes at a time: two maps of the whole box in memory instead of seven."""

from __future__ import annotations

import torch
from torch import Tensor

from dsm.nn.pixel_decoder import PixelDecoder

# Planes along i, which lie one after another in channels-last memory; even, for the map at half the resolution.
_ROWS = 4


def embed_in_rows(decoder: PixelDecoder, f2: Tensor, d4: Tensor) -> Tensor:
    """Do what `PixelDecoder.embed` does, without gradients.

    All but one 3³ convolution goes voxel by voxel, so it is done for a few planes while they are in the processor's
    cache, and memory that the system would have to find and fill with zeros is not needed.

    Args:
        decoder: In evaluation mode.
        f2: Stride-2 features `(1, channels, I/2, J/2, K/2)`.
        d4: Map at 6 mm `(1, channels, I/4, J/4, K/4)`.

    Returns:
        `(1, embed_dim, I/2, J/2, K/2)`, channels last.
    """
    up = decoder.up2(d4)
    size = (1, up.shape[1], *f2.shape[2:])
    merged = torch.empty(size, dtype=up.dtype, device=up.device, memory_format=torch.channels_last_3d)
    for rows, coarse in _rows(f2.shape[2]):
        merged[:, :, rows] = decoder.merge(f2[:, :, rows], up[:, :, coarse])
    refined = decoder.refine(merged)
    for rows, _ in _rows(f2.shape[2]):
        merged[:, :, rows] = decoder.finish(merged[:, :, rows], refined[:, :, rows])
    return merged


def _rows(count: int) -> list[tuple[slice, slice]]:
    starts = range(0, count, _ROWS)
    return [(slice(start, start + _ROWS), slice(start // 2, (start + _ROWS) // 2)) for start in starts]
