"""A pipeline that the benchmark compares ours with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsm.bench.windows import Windows


@dataclass(frozen=True, slots=True)
class Peer:
    """A pipeline that slides a network, with random weights, over a whole volume.

    Args:
        name: Key of its row in the report.
        title: As people call it.
        source: Where the sizes come from.
        spacing_mm: Of its grid; None for that of the scan.
        windows: Over that grid.
        num_classes: Channels of the logits; the fewest that the real one needs for 25 organs where it may choose. With
            one, what is above 0 is inside.
        build: Makes the network.
        num_nets: Networks of this size that are run one after another.
        dtype: In which it adds up logits.
        output_stride: Voxels of the grid a voxel of the logits.
    """

    name: str
    title: str
    source: str
    spacing_mm: float | None
    windows: Windows
    num_classes: int
    build: Callable[[], Callable[[Tensor], Tensor]]
    num_nets: int = 1
    dtype: torch.dtype = torch.float32
    output_stride: int = 1
