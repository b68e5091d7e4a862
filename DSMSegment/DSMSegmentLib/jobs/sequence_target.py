"""Output of a run over all sequence items: a new sequence, or the one that a segmentation shows."""

from __future__ import annotations

from typing import Protocol

import slicer

from DSMSegmentLib.jobs.job import SegmentationJob
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.sequence_item import showSequence
from DSMSegmentLib.scene.sequence_journal import SequenceItemsJournal, SequenceJournal
from DSMSegmentLib.scene.undo import Journal


class SequenceTarget(Protocol):
    """Output that stores the segmentations item by item; the browser shows each while it is written."""

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode:
        """Proxy node that shows one item, and is written to."""

    @property
    def journal(self) -> Journal:
        """Journal of the changes, for undo."""

    @property
    def nodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """Nodes that must not be deleted during the run."""

    def begin(self) -> None:
        """Prepare the item that the browser shows now."""

    def keep(self, item: int, job: SegmentationJob) -> None:
        """Store the result of an item whose job is over, if it changed something or finished."""

    def end(self) -> None:
        """Finish the output, also if nothing was stored or nodes were deleted."""


class NewSequence:
    """A sequence beside that of the images.

    Args:
        browser: Of the images.
        volumeNode: Shows one of them.
    """

    def __init__(self, browser: slicer.vtkMRMLSequenceBrowserNode, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        self._browser = browser
        self._images = browser.GetSequenceNode(volumeNode)
        self._scene = volumeNode.GetScene()
        self.segmentationNode = createSegmentation(volumeNode)
        name = f"{self._images.GetName()} segmentations"
        self._sequence = self._scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        self._sequence.SetIndexName(self._images.GetIndexName())
        self._sequence.SetIndexUnit(self._images.GetIndexUnit())
        self.journal = SequenceJournal(browser, self._sequence, self.segmentationNode)

    @property
    def nodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """See `SequenceTarget.nodes`."""
        return self._browser, self._sequence, self.segmentationNode

    def begin(self) -> None:
        """See `SequenceTarget.begin`."""
        self.segmentationNode.GetSegmentation().RemoveAllSegments()

    def keep(self, item: int, job: SegmentationJob) -> None:
        """See `SequenceTarget.keep`."""
        value = self._images.GetNthIndexValue(item)
        self._sequence.SetDataNodeAtValue(self.segmentationNode, value)
        self.journal.noteItem(value, [outcome.segmentId for outcome in job.outcomes if outcome.segmentId])

    def end(self) -> None:
        """Show the segmentation of the current item in the browser; remove the sequence if it is empty."""
        if self.journal.isEmpty or any(node.GetScene() is not self._scene for node in self.nodes):
            self.journal.discard()
            return
        showSequence(self._browser, self._sequence, self.segmentationNode)


class ShownSequence:
    """The sequence that a segmentation shows; the browser keeps what is written.

    Args:
        browser: Of the images and the segmentations.
        segmentationNode: Shows one of them.
    """

    def __init__(
        self, browser: slicer.vtkMRMLSequenceBrowserNode, segmentationNode: slicer.vtkMRMLSegmentationNode
    ) -> None:
        self.segmentationNode = segmentationNode
        self.journal = SequenceItemsJournal(segmentationNode)
        self.nodes = browser, browser.GetSequenceNode(segmentationNode), segmentationNode

    def begin(self) -> None:
        """See `SequenceTarget.begin`: what is there stays."""

    def keep(self, item: int, job: SegmentationJob) -> None:  # noqa: ARG002  (it is the one that is shown)
        """See `SequenceTarget.keep`."""
        if job.journal is not None:
            self.journal.add(job.journal)

    def end(self) -> None:
        """See `SequenceTarget.end`."""
