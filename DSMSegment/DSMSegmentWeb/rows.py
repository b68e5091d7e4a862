"""Rows of the result list: existing segments, and prompts of the last run without a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import slicer

from dsm.core.name_status import ResultLabel, ResultSource, result_label
from dsm.core.segment_tags import COMPLETED, STATUS_TAG, SegmentFacts
from DSMSegmentLib import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.panel.label_text import labelText
from DSMSegmentLib.scene.mrml import segmentVolumeMl
from DSMSegmentLib.scene.segment_display import shownColor
from DSMSegmentLib.scene.segment_tags import factsOf, tagOf


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    Args:
        name: Of the segment, or of the prompt that found nothing.
        id: Of the segment; empty when nothing was found.
        note: Volume, or why there is none.
        score: Calibrated probability that the mask is right, 0 to 1; None where there is none.
        mark: Label of a result that has to be checked, in the words of the panel; empty for others.
        warnings: Why it has to be checked, in sentences.
        color: As `#rrggbb`.
        visible: Whether the views show it.
        threshold: Of the probability, where it can be moved; None where it cannot.
        has_uncertainty: Whether there is a map of where the network was undecided.
        reviewed: Whether the user has marked it as reviewed, and its mask is still that one.
        code: What its code stands for, whatever its name.
    """

    name: str
    id: str
    note: str
    score: float | None
    mark: str = ""
    warnings: str = ""
    color: str = ""
    visible: bool = False
    threshold: float | None = None
    has_uncertainty: bool = False
    reviewed: bool = False
    code: str = ""


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
    return [
        Row(outcome.prompt.name, "", _missing_note(outcome), outcome.score, warnings=" ".join(outcome.warnings))
        for outcome in outcomes
        if outcome.status is not OutcomeStatus.WRITTEN
    ]


def _missing_note(outcome: SegmentOutcome) -> str:
    if outcome.status is OutcomeStatus.SKIPPED:
        return "skipped, it is there already"
    return labelText(result_label(outcome.source, found=False))


def status_text(facts: SegmentFacts | None, volume_ml: float) -> str:
    """Return what is to be known of a mask first, in the words of the panel, e.g. `"found, check"`.

    Args:
        facts: Of the segment; None for one that came from no prompt.
        volume_ml: Its volume.
    """
    # Without a model, no network had a part in it.
    if facts is None or (facts.source is ResultSource.CLICK and not facts.provenance.model):
        return "drawn by hand" if volume_ml else "empty"
    return labelText(result_label(facts.source, found=True, warnings=facts.notes))


def _mark(facts: SegmentFacts, volume_ml: float) -> str:
    text = status_text(facts, volume_ml)
    return "" if text == labelText(ResultLabel.FOUND) else text


def _segment_row(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, has_probability: bool, has_uncertainty: bool
) -> Row:
    segment = node.GetSegmentation().GetSegment(segment_id)
    facts = factsOf(segment)
    # Counted, not taken from the run: the user may have painted since.
    volume_ml = segmentVolumeMl(node, segment_id)
    return Row(
        name=segment.GetName(),
        id=segment_id,
        note=f"{volume_ml:.1f} ml",
        score=facts.score if facts is not None else None,
        mark=_mark(facts, volume_ml) if facts is not None else "",
        warnings=" ".join(facts.notes) if facts is not None else "",
        color="#{:02x}{:02x}{:02x}".format(*shownColor(node, segment_id)),
        visible=bool(node.GetDisplayNode().GetSegmentVisibility(segment_id)),
        threshold=facts.threshold if facts is not None and has_probability else None,
        has_uncertainty=has_uncertainty,
        reviewed=tagOf(segment, STATUS_TAG) == COMPLETED,
        code=(facts.name if facts is not None else "") or segment.GetName(),
    )
