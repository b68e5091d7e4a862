"""The fine stages of the encoder in slabs along k, when memory is short."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from dsm.inference.working_grid import EDGE_MULTIPLE

# Strides of the feature grids that `fine` returns.
_STRIDES = (2, 4)
# Input voxels that `embed_in_slabs` needs on each side: one 3³ convolution at stride 2.
EMBED_HALO = 2


class FineStages(Protocol):
    """The part of the network that sees one slab at a time."""

    def fine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at strides 2 and 4 for `(1, C, I, J, K)`."""


@dataclass(frozen=True, slots=True)
class Slab:
    """A range of working voxels along k.

    Args:
        start: First voxel whose features are kept.
        stop: First voxel after them.
        read_start: First voxel that is read: `start` less the halo, where there is that much.
        read_stop: First voxel that is not read.
    """

    start: int
    stop: int
    read_start: int
    read_stop: int


def plan_slabs(depth: int, *, max_slab: int, halo: int) -> list[Slab]:
    """Cut `depth` voxels into slabs of at most `max_slab`, each read with `halo` more on both sides.

    All borders are multiples of 16, so that the strides of a slab fall where the strides of one pass fall.

    Args:
        depth: Voxels along k, a multiple of 16.
        max_slab: Most voxels of a slab without its halo; at least 16 are taken.
        halo: Voxels beyond which an input cannot change a feature of `fine`.

    Returns:
        Slabs in order, of nearly equal size: the last one is not a sliver that pays for two halos.
    """
    blocks = depth // EDGE_MULTIPLE
    count = math.ceil(blocks / max(1, max_slab // EDGE_MULTIPLE))
    borders = [EDGE_MULTIPLE * round(n * blocks / count) for n in range(count + 1)]
    margin = EDGE_MULTIPLE * math.ceil(halo / EDGE_MULTIPLE)
    return [Slab(start, stop, max(0, start - margin), min(depth, stop + margin)) for start, stop in pairwise(borders)]


def fine_in_slabs(
    net: FineStages, x: Tensor, slabs: list[Slab], *, on_slab: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """Run the fine stages slab by slab and stitch their features.

    Args:
        net: The network.
        x: `(1, C, I, J, K)`.
        slabs: From `plan_slabs`.
        on_slab: Called before each slab; may raise `JobCancelled`.

    Returns:
        Features at strides 2 and 4 as one pass would give them.
    """
    if len(slabs) == 1:
        on_slab()
        return net.fine(x)
    stitched: list[Tensor] = []
    for slab in slabs:
        on_slab()
        features = net.fine(x[..., slab.read_start : slab.read_stop])
        if not stitched:
            stitched = [_empty_whole(f, x.shape[-1] // stride) for f, stride in zip(features, _STRIDES, strict=True)]
        for whole, part, stride in zip(stitched, features, _STRIDES, strict=True):
            first = (slab.start - slab.read_start) // stride
            length = (slab.stop - slab.start) // stride
            whole[..., slab.start // stride : slab.stop // stride] = part[..., first : first + length]
    return stitched[0], stitched[1]


def embed_in_slabs(
    embed: Callable[[Tensor, Tensor], Tensor], f2: Tensor, d4: Tensor, slabs: list[Slab], *, into: Tensor
) -> Tensor:
    """Make the embedding slab by slab.

    Args:
        embed: From stride-2 features and the 6 mm map to the embedding of the same part.
        f2: Stride-2 features of the whole box.
        d4: Map at 6 mm of the whole box.
        slabs: From `plan_slabs` with `EMBED_HALO`.
        into: Where it goes, `(1, channels, I/2, J/2, K/2)` of any type.

    Returns:
        `into`.
    """
    for slab in slabs:
        read2, read4 = (slice(slab.read_start // stride, slab.read_stop // stride) for stride in _STRIDES)
        part = embed(f2[..., read2], d4[..., read4])
        first = (slab.start - slab.read_start) // 2
        into[..., slab.start // 2 : slab.stop // 2] = part[..., first : first + (slab.stop - slab.start) // 2]
    return into


def _empty_whole(part: Tensor, depth: int) -> Tensor:
    """Room for the whole in the memory order of a part."""
    is_channels_last = part.is_contiguous(memory_format=torch.channels_last_3d)
    return torch.empty(
        (*part.shape[:-1], depth),
        dtype=part.dtype,
        device=part.device,
        memory_format=torch.channels_last_3d if is_channels_last else torch.contiguous_format,
    )
