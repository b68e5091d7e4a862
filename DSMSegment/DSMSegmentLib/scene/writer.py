"""Writer of one run's results into one segmentation node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.util import NodeModify

from dsm.core.boxes import Box
from dsm.core.segment_tags import Provenance
from dsm.errors import InputError, OutputError
from dsm.text.appearance import prompt_color, prompt_terminology
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.layer_packer import packLayers
from DSMSegmentLib.scene.mrml import (
    addVoxelsOutside,
    affineInSegmentation,
    countVoxels,
    orientedImageFromCrop,
    orientedImageFromSegment,
    removeVoxels,
    setSegmentMask,
)
from DSMSegmentLib.scene.outcome import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.scene.placement import createSegmentation, placeBesideVolume
from DSMSegmentLib.scene.policy import ExistingPolicy, OverlapPolicy
from DSMSegmentLib.scene.segment_display import hasOwnColor
from DSMSegmentLib.scene.tag_writer import tagLoss, tagPrompt, tagResult, tagReturn
from DSMSegmentLib.scene.taken_voxels import Taken, giveBack

if TYPE_CHECKING:
    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult


class SegmentationWriter:
    """Write results into a segmentation and record how to undo them.

    Masks are written cropped, each into a segment of its own id. Hand-made segments keep their voxels unless a policy
    says otherwise, and a prompt that found nothing writes nothing.

    Args:
        volumeNode: That was segmented; gives grid, parent transform and place in the subject hierarchy.
        affine: `(4, 4)` of the voxels that were segmented (`Volume.affine`).
        segmentationNode: Where to write; None makes one when the first result arrives.
        existing: Policy for segments of the same name.
        overlap: Policy where segments overlap.
        keepEmpty: Whether a prompt that found nothing gets an empty segment.
        roi: Voxels that were segmented; a segment that is replaced keeps what it has outside. None for all.
        taken: Voxels that replaced segments took from others before; they go back first.

    Raises:
        InputError: If the segmentation cannot take masks.
        GeometryError: If it lies under another, non-linear transform.
    """

    def __init__(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        affine: np.ndarray,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None,
        *,
        existing: ExistingPolicy = ExistingPolicy.ADD,
        overlap: OverlapPolicy = OverlapPolicy.ALLOW,
        keepEmpty: bool = False,
        roi: Box | None = None,
        taken: Taken | None = None,
    ) -> None:
        if segmentationNode is not None:
            _checkWritable(segmentationNode, volumeNode, affine)
        self._volumeNode = volumeNode
        self._affine = affine
        self._existing = existing
        self._overlap = overlap
        self._keepEmpty = keepEmpty
        self._roi = roi
        self._taken = taken or {}
        self.segmentationNode = segmentationNode
        self.journal: RunJournal | None = None
        self._written: list[str] = []

    def isSkipped(self, prompt: Prompt) -> bool:
        """Return whether the policy skips this prompt."""
        if self._existing is not ExistingPolicy.SKIP or self.segmentationNode is None:
            return False
        return prompt.name.casefold() in _idsByName(self.segmentationNode)

    def write(self, result: PromptResult, provenance: Provenance, *, into: str = "") -> SegmentOutcome:
        """Write one result; must run on the main thread.

        Args:
            result: Its mask is on the grid of the volume.
            provenance: Source of the mask.
            into: Id of the segment that gets the mask, whatever its name; empty, or gone by now: as the policy says.

        Returns:
            Outcome. A result without voxels changes nothing in the scene, except that the node is made.
        """
        node, journal = self.begin()
        prompt = result.prompt
        outcome = SegmentOutcome(
            prompt,
            OutcomeStatus.NOT_FOUND,
            score=result.score,
            seconds=result.seconds,
            warnings=result.notes,
            source=result.source,
        )
        isThere = bool(into) and node.GetSegmentation().GetSegment(into) is not None
        replaced = into if isThere else self._replacedBy(prompt, node)
        if not result.found or not result.mask.array.any():
            return outcome if replaced or not self._keepEmpty else self._writeEmpty(outcome, result, provenance)
        image = orientedImageFromCrop(result.mask, affineInSegmentation(self._affine, self._volumeNode, node))
        if replaced and self._roi is not None:
            addVoxelsOutside(image, orientedImageFromSegment(node, replaced), self._roi)
        others = self.protectedSegmentIds(replaced)
        if self._overlap is OverlapPolicy.KEEP_EXISTING:
            for other in others:
                removeVoxels(image, orientedImageFromSegment(node, other))
        if countVoxels(image) == 0:
            return replace(outcome, warnings=(*outcome.warnings, f"{prompt.name} lies inside other segments."))
        taken: dict[str, slicer.vtkOrientedImageData] = {}
        with NodeModify(node):
            returned = self._giveBack(node, journal)
            if self._overlap is OverlapPolicy.OVERWRITE:
                taken = _takeVoxels(image, node, others, journal)
            segmentId = self._writeMask(image, prompt, replaced, [*returned, *taken])
            volumeMl = tagResult(node, segmentId, result, provenance, self._volumeNode, mask=image)
            name = node.GetSegmentation().GetSegment(segmentId).GetName()
            for other in returned:
                tagReturn(node, other, name)
            for other in taken:
                tagLoss(node, other, name)
        return replace(outcome, status=OutcomeStatus.WRITTEN, segmentId=segmentId, volumeMl=volumeMl, taken=taken)

    def prepare(self, prompt: Prompt) -> str:
        """Add an empty segment that is named, colored and coded, to get a mask later; returns its id."""
        node, journal = self.begin()
        with NodeModify(node):
            segmentId = _addSegment(prompt, node, journal)
            _describe(node.GetSegmentation().GetSegment(segmentId), prompt)
            tagPrompt(node, segmentId, prompt, self._volumeNode)
        return segmentId

    def _writeEmpty(self, outcome: SegmentOutcome, result: PromptResult, provenance: Provenance) -> SegmentOutcome:
        node, journal = self.begin()
        segmentId = _addSegment(outcome.prompt, node, journal)
        _describe(node.GetSegmentation().GetSegment(segmentId), outcome.prompt)
        tagResult(node, segmentId, result, provenance, self._volumeNode)
        return replace(outcome, segmentId=segmentId)

    def _writeMask(
        self, image: slicer.vtkOrientedImageData, prompt: Prompt, replaced: str, taken: Sequence[str]
    ) -> str:
        """Write a mask into the replaced segment, or into a new one; returns its id."""
        node, journal = self.begin()
        if replaced:
            journal.noteChanging(replaced)
        segmentId = replaced or _addSegment(prompt, node, journal)
        self._written.append(segmentId)
        if not setSegmentMask(node, segmentId, image):
            for changed in (segmentId, *taken):
                journal.revertSegment(changed)
            message = f"{node.GetName()} does not take the mask of {segmentId}."
            raise OutputError(message, code="output.segment", hint="Choose a new segmentation.")
        _describe(node.GetSegmentation().GetSegment(segmentId), prompt)
        return segmentId

    def protectedSegmentIds(self, segmentId: str) -> tuple[str, ...]:
        """Return the ids of the segments that a written one must not overlap, by policy.

        Segments of the same run may overlap under any policy: a tumor lies inside its organ.
        """
        if self._overlap is OverlapPolicy.ALLOW or self.segmentationNode is None:
            return ()
        ids = self.segmentationNode.GetSegmentation().GetSegmentIDs()
        return tuple(id_ for id_ in ids if id_ not in (*self._written, segmentId))

    def finish(self) -> None:
        """Clean up after the last `write`."""
        if self.segmentationNode is not None and self.journal is not None and not self.journal.isEmpty:
            with NodeModify(self.segmentationNode):
                packLayers(self.segmentationNode)

    def begin(self) -> tuple[slicer.vtkMRMLSegmentationNode, RunJournal]:
        """Return the segmentation and the journal, made before the first write."""
        node = self.segmentationNode
        if node is not None and self.journal is not None:
            return node, self.journal
        ownsNode = node is None
        if node is None:
            node = createSegmentation(self._volumeNode)
        if node.GetSegmentation().GetNumberOfSegments() == 0:
            # An empty segmentation belongs to nobody yet; one with segments keeps the geometry and parent it has.
            node.SetReferenceImageGeometryParameterFromVolumeNode(self._volumeNode)
            node.SetAndObserveTransformNodeID(self._volumeNode.GetTransformNodeID())
            node.CreateDefaultDisplayNodes()
            placeBesideVolume(node, self._volumeNode)
        self.segmentationNode = node
        self.journal = RunJournal(node, ownsNode=ownsNode)
        return node, self.journal

    def _giveBack(self, node: slicer.vtkMRMLSegmentationNode, journal: RunJournal) -> list[str]:
        """Give back what was taken before, once; returns the ids of the segments that got it."""
        taken, self._taken = self._taken, {}
        there = [other for other in taken if node.GetSegmentation().GetSegment(other) is not None]
        for other in there:
            journal.noteChanging(other)
        giveBack(node, taken)
        return there

    def _replacedBy(self, prompt: Prompt, node: slicer.vtkMRMLSegmentationNode) -> str:
        """Return the id of the segment to replace by policy, or `""`."""
        if self._existing is not ExistingPolicy.REPLACE:
            return ""
        return _idsByName(node).get(prompt.name.casefold(), "")


def _checkWritable(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode, affine: np.ndarray
) -> None:
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 0:
        return
    if segmentation.GetSourceRepresentationName() != "Binary labelmap":
        raise InputError(
            f"{segmentationNode.GetName()} is stored as {segmentation.GetSourceRepresentationName().lower()}.",
            code="input.representation",
            hint="Make 'Binary labelmap' its source representation in the Segmentations module, or choose a new one.",
        )
    affineInSegmentation(affine, volumeNode, segmentationNode)


def _takeVoxels(
    image: slicer.vtkOrientedImageData,
    node: slicer.vtkMRMLSegmentationNode,
    others: Sequence[str],
    journal: RunJournal,
) -> dict[str, slicer.vtkOrientedImageData]:
    """Subtract the voxels of `image` from the other segments; returns what changed ones lost, by their ids."""
    taken = {}
    for other in others:
        rest, lost = orientedImageFromSegment(node, other), orientedImageFromSegment(node, other)
        if removeVoxels(rest, image):
            journal.noteChanging(other)
            setSegmentMask(node, other, rest)
            removeVoxels(lost, rest)
            taken[other] = lost
    return taken


def _addSegment(prompt: Prompt, node: slicer.vtkMRMLSegmentationNode, journal: RunJournal) -> str:
    """Add an empty segment of its own id and name; identity is the id, since names may repeat in a scene."""
    segmentation = node.GetSegmentation()
    segmentId = str(segmentation.GenerateUniqueSegmentID(_idFor(prompt.name)))
    segmentation.AddEmptySegment(segmentId, _uniqueName(prompt.name, _idsByName(node)), _color(prompt))
    journal.noteAdded(segmentId)
    return segmentId


def _describe(segment: slicer.vtkSegment, prompt: Prompt) -> None:
    if not hasOwnColor(segment):
        segment.SetColor(_color(prompt))
    segment.SetTerminology(prompt_terminology(prompt).to_tag())
    segment.NameAutoGeneratedOff()
    segment.ColorAutoGeneratedOff()


def _color(prompt: Prompt) -> tuple[float, float, float]:
    red, green, blue = prompt_color(prompt)
    return red / 255, green / 255, blue / 255


def _idsByName(node: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    """Return segment ids by case-folded name; of several segments with one name the first."""
    segmentation = node.GetSegmentation()
    ids: dict[str, str] = {}
    for segmentId in segmentation.GetSegmentIDs():
        ids.setdefault(segmentation.GetSegment(segmentId).GetName().casefold(), segmentId)
    return ids


def _idFor(name: str) -> str:
    """Return the stem of a segment id: `DSM_left_kidney` for `"left kidney"`, `DSM_segment` for other scripts."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    return f"DSM_{slug or 'segment'}"


def _uniqueName(name: str, taken: dict[str, str]) -> str:
    """Return `name`, or `name_1`, `name_2`..., as MRML numbers nodes."""
    unique, number = name, 0
    while unique.casefold() in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique
