"""Outcome of a prompt in the scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dsm.core.name_status import ResultSource

if TYPE_CHECKING:
    from dsm.core.prompt import Prompt
    from DSMSegmentLib.scene.taken_voxels import Taken


class OutcomeStatus(Enum):
    """Outcome of a prompt."""

    WRITTEN = "found"
    NOT_FOUND = "not found"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentOutcome:
    """Outcome of one prompt of a run.

    Args:
        prompt: As it was understood.
        status: Written, not found, or skipped because a segment of that name exists.
        segmentId: Of the segment that was written; empty otherwise, unless empty segments are wanted.
        score: 0 to 1; None where there is none, see `dsm.core.result.PromptResult`.
        volumeMl: Of the mask.
        seconds: Time that this prompt took.
        warnings: Of the prompt parser and of the network.
        source: Source of the result.
        taken: Voxels that other segments gave to it, by their ids.
    """

    prompt: Prompt
    status: OutcomeStatus
    segmentId: str = ""
    score: float | None = None
    volumeMl: float = 0.0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    source: ResultSource = ResultSource.LEARNED
    taken: Taken = field(default_factory=dict)
