"""Where a run over all time points writes: a sequence that it makes, or the one that a segmentation shows already."""

from __future__ import annotations

from typing import Protocol

import slicer
from slicer.util import NodeModify

from DSMSegmentLib.jobs.job import SegmentationJob
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.sequence_journal import SequenceJournal, TimePointsJournal
from DSMSegmentLib.scene.undo import Journal


class SequenceTarget(Protocol):
    """Takes the segmentations of one time point after the other; the browser shows each while it is written."""

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode:
        """Shows one time point, and is written to."""

    @property
    def journal(self) -> Journal:
        """What was changed, for undo."""

    @property
    def nodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """What must not be deleted meanwhile."""

    def begin(self) -> None:
        """Call when the browser shows the next time point."""

    def keep(self, item: int, job: SegmentationJob) -> None:
        """Call when the job of a time point is over and has changed something, or has finished."""

    def end(self) -> None:
        """Call at the end, also when nothing was kept, or nodes have been deleted."""


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
        """Let the browser show the segmentation of the time point that it shows; without any, nothing is left."""
        if self.journal.isEmpty or any(node.GetScene() is not self._scene for node in self.nodes):
            self.journal.discard()
            return
        # At once, or the browser would make a node of its own for a sequence that has none yet.
        with NodeModify(self._browser):
            self._browser.AddSynchronizedSequenceNode(self._sequence)
            # A time point that was not segmented shows an empty segmentation, and gets none by being looked at.
            self._browser.SetMissingItemMode(self._sequence, self._browser.MissingItemSetToDefault)
            self._browser.AddProxyNode(self.segmentationNode, self._sequence, False)
            self._browser.SetSaveChanges(self._sequence, True)


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
        self.journal = TimePointsJournal(segmentationNode)
        self.nodes = browser, browser.GetSequenceNode(segmentationNode), segmentationNode

    def begin(self) -> None:
        """See `SequenceTarget.begin`: what is there stays."""

    def keep(self, item: int, job: SegmentationJob) -> None:  # noqa: ARG002  (it is the one that is shown)
        """See `SequenceTarget.keep`."""
        if job.journal is not None:
            self.journal.add(job.journal)

    def end(self) -> None:
        """See `SequenceTarget.end`."""
