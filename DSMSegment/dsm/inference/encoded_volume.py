"""Encoding of a volume, and its place on the grid of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsm.core.input_note import InputNote
from dsm.inference.organ_order import SketchedOrgan
from dsm.inference.working_grid import WorkingGrid
from dsm.nn.dsm_net import Encoding


@dataclass(frozen=True, slots=True, eq=False)
class EncodedVolume:
    """Features of a volume, from which any number of prompts is decoded.

    Args:
        encoding: Output of the encoder.
        grid: Place of the encoding in the input grid.
        num_slabs: 1 where the encoding was made in one pass.
        seconds: Time of the encoding, resampling included.
        notes: Unusual things that the organs show.
        organs: Organs of a plausible volume on a coarse grid.
    """

    encoding: Encoding
    grid: WorkingGrid
    num_slabs: int
    seconds: float
    notes: tuple[InputNote, ...] = ()
    organs: Mapping[str, SketchedOrgan] = field(default_factory=dict, repr=False)
