"""Memory fallbacks of an encoding: each step needs less memory and more time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dsm.core.boxes import Index3
from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.models.config import ModelConfig

# What the allocator takes for what is alive: it finds no use for every gap (measured on the phantom of the bench).
_GAPS = 1.15
_FLOAT_BYTES, _HALF_BYTES = 4, 2


@dataclass(frozen=True, slots=True)
class Step:
    """One way to encode.

    Args:
        max_slab: Most working voxels along k that the fine stages see at a time; those of the embedding likewise.
        is_half: Keep the embedding in float16.
        is_on_disk: Keep it in a file that is mapped into memory and gone when the scan is.
    """

    max_slab: int
    is_half: bool = False
    is_on_disk: bool = False

    def describe(self, depth: int) -> str:
        """Return a description of the step, for a log and for the user."""
        parts = ["one pass" if self.max_slab >= depth else f"slabs of {self.max_slab} voxels"]
        if self.is_half:
            parts.append("embedding at half precision")
        if self.is_on_disk:
            parts.append("embedding in a file")
        return ", ".join(parts)


def ladder(depth: int, *, start: int | None = None) -> Iterator[Step]:
    """Yield the steps from the fastest to the most memory-efficient.

    Args:
        depth: Voxels along k, a multiple of 16.
        start: Slab to begin with; default: everything.
    """
    slab = max(EDGE_MULTIPLE, min(depth, start or depth))
    while slab > EDGE_MULTIPLE:
        yield Step(slab)
        slab = max(EDGE_MULTIPLE, slab // 2 // EDGE_MULTIPLE * EDGE_MULTIPLE)
    yield Step(EDGE_MULTIPLE)
    yield Step(EDGE_MULTIPLE, is_half=True)
    yield Step(EDGE_MULTIPLE, is_half=True, is_on_disk=True)


def predicted_bytes(config: ModelConfig, shape: Index3, step: Step, *, halo: int) -> float:
    """Return the approximate memory of an encoding beside its input.

    Args:
        config: Of the network.
        shape: Padded working grid.
        step: How it is encoded.
        halo: Of the fine stages.
    """
    i, j, depth = shape
    c2, c4 = config.channels[:2]
    d4, query = config.decoder_channels[0], config.query_dim
    margins = 0 if step.max_slab >= depth else 2 * EDGE_MULTIPLE * math.ceil(halo / EDGE_MULTIPLE)
    slab = min(1.0, (step.max_slab + margins) / depth)
    bytes_each = 0 if step.is_on_disk else _HALF_BYTES if step.is_half else _FLOAT_BYTES
    embedding = config.embed_dim / 2**3 * bytes_each / _FLOAT_BYTES
    # Floats for each voxel: the fine stages (what is stitched, and two maps of a residual block), the embedding
    # (beside the features that it is made of), the tokens at 6 mm.
    stitched = (c2 / 2**3 + c4 / 4**3) if margins else 0.0
    fine = stitched + slab * (config.num_channels + 2 * c2 / 2**3)
    embedded = c2 / 2**3 + 2 * d4 / 4**3 + embedding
    grouped = embedding + (2 * d4 + 4 * query) / 4**3
    return _FLOAT_BYTES * _GAPS * i * j * depth * max(fine, embedded, grouped)
