"""Rows of the results table, read from the scene, so that they survive saving and loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer

from dsm.core.display_colors import RGB
from dsm.core.name_status import ResultLabel, ResultSource, result_label
from dsm.core.prompt import Prompt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.scene.mrml import segmentVolumeMl
from DSMSegmentLib.scene.outcome import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.scene.segment_display import shownColor
from DSMSegmentLib.scene.segment_tags import factsOf, isEditedByHand, promptOf
from DSMSegmentLib.scene.segment_volumes import isOfAnotherVolume, volumeOfSegment

_Logic = slicer.vtkSlicerSegmentationsModuleLogic


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One result.

    Args:
        name: Of the segment, or of the prompt that gave none.
        prompt: That it came from.
        segmentId: Empty when there is no segment.
        status: Outcome of the prompt.
        volumeMl: Of the mask.
        score: 0 to 1; None where there is none.
        seconds: Time that the prompt took.
        color: Of the segment in the views; None without a segment.
        visible: Whether the views show the segment.
        reviewed: Whether the user has marked it as completed.
        edited: Whether it was changed by hand.
        note: Warnings about it, in sentences.
        source: Source of the result.
        otherVolume: Name of the volume that it was made on, where that is not the volume of the segmentation.
    """

    name: str
    prompt: Prompt
    segmentId: str = ""
    status: OutcomeStatus = OutcomeStatus.WRITTEN
    volumeMl: float = 0.0
    score: float | None = None
    seconds: float = 0.0
    color: RGB | None = None
    visible: bool = False
    reviewed: bool = False
    edited: bool = False
    note: str = ""
    source: ResultSource = ResultSource.LEARNED
    otherVolume: str = ""

    @property
    def isToBeClicked(self) -> bool:
        """True for an empty segment that was made for clicks."""
        return bool(self.segmentId) and self.source is ResultSource.CLICK and self.volumeMl == 0

    @property
    def label(self) -> ResultLabel:
        """Label of the result, as of the run."""
        found = self.status is OutcomeStatus.WRITTEN
        return result_label(self.source, found=found, warnings=(self.note,))


def resultRows(
    segmentationNode: slicer.vtkMRMLSegmentationNode | None, outcomes: Sequence[SegmentOutcome]
) -> list[ResultRow]:
    """Return a row for each segment with a prompt, and for each prompt without a segment.

    Args:
        segmentationNode: The current output.
        outcomes: Of the last run.
    """
    given = {outcome.prompt.name for outcome in outcomes if outcome.segmentId}
    # One row a prompt, and not one a sequence item.
    missing = {outcome.prompt.name: outcome for outcome in outcomes if outcome.prompt.name not in given}
    rows = [
        ResultRow(
            outcome.prompt.name,
            outcome.prompt,
            status=outcome.status,
            score=outcome.score,
            seconds=outcome.seconds,
            note="\n".join(outcome.warnings),
            source=outcome.source,
        )
        for outcome in missing.values()
    ]
    if segmentationNode is None:
        return rows
    segmentation = segmentationNode.GetSegmentation()
    made = (_segmentRow(segmentationNode, segmentId) for segmentId in segmentation.GetSegmentIDs())
    return [row for row in made if row is not None] + rows


def _segmentRow(node: slicer.vtkMRMLSegmentationNode, segmentId: str) -> ResultRow | None:
    segment = node.GetSegmentation().GetSegment(segmentId)
    facts, prompt = factsOf(segment), promptOf(segment)
    if facts is None or prompt is None:
        return None
    # Files of dsm before 0.2 do not say the volume.
    volumeMl = segmentVolumeMl(node, segmentId) if facts.volume_ml is None else facts.volume_ml
    display = node.GetDisplayNode()
    return ResultRow(
        name=segment.GetName(),
        prompt=prompt,
        segmentId=segmentId,
        status=OutcomeStatus.WRITTEN if volumeMl > 0 else OutcomeStatus.NOT_FOUND,
        volumeMl=volumeMl,
        score=facts.score,
        seconds=facts.seconds,
        color=shownColor(node, segmentId) if display is not None else None,
        visible=display is not None and bool(display.GetSegmentVisibility(segmentId)),
        reviewed=_Logic.GetSegmentStatus(segment) == _Logic.Completed,
        edited=isEditedByHand(segment),
        note=" ".join(facts.notes),
        source=facts.source,
        otherVolume=_otherVolume(node, segmentId),
    )


def _otherVolume(node: slicer.vtkMRMLSegmentationNode, segmentId: str) -> str:
    if not isOfAnotherVolume(node, segmentId):
        return ""
    volumeNode = volumeOfSegment(node, segmentId)
    return volumeNode.GetName() if volumeNode is not None else _("a volume that is gone")
