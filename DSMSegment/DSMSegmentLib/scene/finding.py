"""Result of one prompt from the worker, and its outcome in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from dsm.core.boxes import CroppedArray

if TYPE_CHECKING:
    from dsm.text.prompt import Prompt


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Result of the network for one prompt.

    Args:
        mask: Cropped mask on the grid of the volume; without voxels when nothing was found.
        found: Whether the structure was found.
        score: How sure the network is that it is there, 0 to 1.
        volumeMl: Volume of the mask.
        seconds: Time that this prompt took.
        threshold: Probability from which a voxel is inside.
        warnings: Sentences for the user.
        probability: float16 map of probabilities where it was asked for; 0 outside its box.
        uncertainty: float16 map, 0 sure to 1 undecided, where it was asked for.
    """

    mask: CroppedArray
    found: bool
    score: float
    volumeMl: float
    seconds: float
    threshold: float = 0.5
    warnings: tuple[str, ...] = ()
    probability: CroppedArray | None = None
    uncertainty: CroppedArray | None = None


class OutcomeStatus(Enum):
    """Outcome of a prompt."""

    WRITTEN = "found"
    NOT_FOUND = "not found"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentOutcome:
    """One row of the results table.

    Args:
        prompt: As it was understood.
        status: Written, not found, or skipped because a segment of that name exists.
        segmentId: Of the segment that was written; empty otherwise, unless empty segments are wanted.
        score: 0 to 1.
        volumeMl: Of the mask.
        seconds: Time that this prompt took.
        warnings: Of the prompt parser and of the network.
        takenFrom: Ids of the segments that gave voxels to it.
    """

    prompt: Prompt
    status: OutcomeStatus
    segmentId: str = ""
    score: float = 0.0
    volumeMl: float = 0.0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    takenFrom: tuple[str, ...] = ()
