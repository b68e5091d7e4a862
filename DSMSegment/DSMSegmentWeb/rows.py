"""Rows of the result list: existing segments, and prompts of the last run without a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import slicer

from DSMSegmentLib import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.scene.mrml import segmentVolumeMl
from DSMSegmentLib.scene.segment_tags import factsOf


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    Args:
        name: Of the segment, or of the prompt that found nothing.
        id: Of the segment; empty when nothing was found.
        note: Volume, or why there is none.
        score: How sure the network is that the structure is there, 0 to 1; None for segments made by hand.
        color: As `#rrggbb`.
        visible: Whether the views show it.
        threshold: Of the probability, where it can be moved; None where it cannot.
        has_uncertainty: Whether there is a map of where the network was undecided.
    """

    name: str
    id: str
    note: str
    score: float | None
    color: str = ""
    visible: bool = False
    threshold: float | None = None
    has_uncertainty: bool = False


def segment_rows(
    node: slicer.vtkMRMLSegmentationNode | None,
    has_probability: Callable[[str], bool],
    has_uncertainty: Callable[[str], bool],
) -> list[Row]:
    """Return a row for each segment, in the order of the segmentation.

    Args:
        node: The segmentation.
        has_probability: Whether the threshold of a segment can be moved.
        has_uncertainty: Whether there is a map of where the network was undecided.
    """
    if node is None:
        return []
    ids = node.GetSegmentation().GetSegmentIDs()
    return [_segment_row(node, id_, has_probability(id_), has_uncertainty(id_)) for id_ in ids]


def missing_rows(outcomes: Sequence[SegmentOutcome]) -> list[Row]:
    """Return a row for each prompt without a segment."""
    notes = {OutcomeStatus.NOT_FOUND: "not found", OutcomeStatus.SKIPPED: "skipped, it is there already"}
    return [
        Row(outcome.prompt.name, "", notes[outcome.status], outcome.score)
        for outcome in outcomes
        if outcome.status in notes
    ]


def _segment_row(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, has_probability: bool, has_uncertainty: bool
) -> Row:
    segment = node.GetSegmentation().GetSegment(segment_id)
    facts = factsOf(segment)
    return Row(
        name=segment.GetName(),
        id=segment_id,
        # Counted, not taken from the run: the user may have painted since.
        note=f"{segmentVolumeMl(node, segment_id):.1f} ml",
        score=facts.score if facts is not None else None,
        color="#" + "".join(f"{round(255 * channel):02x}" for channel in segment.GetColor()),
        visible=bool(node.GetDisplayNode().GetSegmentVisibility(segment_id)),
        threshold=facts.threshold if facts is not None and has_probability else None,
        has_uncertainty=has_uncertainty,
    )
