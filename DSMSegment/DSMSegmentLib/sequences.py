"""All time points of a 4D image, one after another; the segmentations become a sequence beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import slicer

from dsm.errors import DSMError, InputError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.finding import SegmentOutcome
from DSMSegmentLib.job import JobState, SegmentationJob
from DSMSegmentLib.job_progress import JobProgress
from DSMSegmentLib.placement import createSegmentation, removeSegmentation

StartJob = Callable[..., SegmentationJob]


def browserOf(volumeNode: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """Return the sequence browser that shows its frames in a volume node; None for a volume that is no sequence."""
    scene = volumeNode.GetScene() if volumeNode is not None else None
    if scene is None:
        return None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(volumeNode) is not None:
            return browser
    return None


class SequenceRun:
    """Steps the browser through its items and runs a job on each; finished time points stay, whatever comes after.

    Args:
        volumeNode: Shows the current time point.
        startJob: Makes and starts the job of one time point; takes the callbacks of `SegmentationJob`, the
            segmentation to write to, and nothing else.
        onProgress: Called with each progress; its note says which time point it is.
        onResult: Called with each outcome.
        onFinished: Called at the end with the last job.

    Raises:
        InputError: If the volume is no time point of a sequence.
    """

    def __init__(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        startJob: StartJob,
        *,
        onProgress: Callable[[JobProgress], None] | None = None,
        onResult: Callable[[SegmentOutcome], None] | None = None,
        onFinished: Callable[[SegmentationJob], None] | None = None,
    ) -> None:
        browser = browserOf(volumeNode)
        if browser is None:
            raise InputError(
                f"{volumeNode.GetName()} is not part of a sequence.",
                code="input.sequence",
                hint="Choose one time point.",
            )
        self._browser = browser
        self._volumeNode = volumeNode
        self._startJob = startJob
        self._onProgress, self._onResult, self._onFinished = onProgress, onResult, onFinished
        self._numItems = browser.GetNumberOfItems()
        self._startItem = browser.GetSelectedItemNumber()
        self._item = -1
        self._ended = False
        scene = volumeNode.GetScene()
        self.segmentationNode = createSegmentation(volumeNode)
        images = browser.GetSequenceNode(volumeNode)
        self._sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{images.GetName()} segmentations")
        self._sequence.SetIndexName(images.GetIndexName())
        self._sequence.SetIndexUnit(images.GetIndexUnit())
        self._images = images
        try:
            self._job = self._next()
        except DSMError:  # bad prompts, for example: nothing is left behind
            browser.SetSelectedItemNumber(self._startItem)
            removeSegmentation(self.segmentationNode)
            scene.RemoveNode(self._sequence)
            raise

    @property
    def isOver(self) -> bool:
        """Whether the last time point is done, or the run was stopped."""
        return self._ended

    @property
    def state(self) -> JobState:
        """State of the current time point, or of the whole run at its end."""
        return self._job.state

    def poll(self) -> bool:
        """See `SegmentationJob.poll`."""
        if not self._ended and self._job.poll():
            self._endItem()
        return self._ended

    def wait(self) -> JobState:
        """Poll until all is done, keeping the window alive."""
        while not self.poll():
            slicer.app.processEvents()
        return self.state

    def cancel(self) -> None:
        """Stop after what is finished."""
        self._job.cancel()

    @property
    def error(self) -> object:
        """Why the run failed; None when it did not."""
        return self._job.error

    def _next(self) -> SegmentationJob:
        self._item += 1
        self._browser.SetSelectedItemNumber(self._item)
        self.segmentationNode.GetSegmentation().RemoveAllSegments()
        return self._startJob(segmentationNode=self.segmentationNode, onProgress=self._report, onResult=self._onResult)

    def _endItem(self) -> None:
        scene = self._volumeNode.GetScene()
        if scene is None or self.segmentationNode.GetScene() is not scene:
            self._finish()
            return
        if self._job.state is JobState.FINISHED:
            value = self._images.GetNthIndexValue(self._item)
            self._sequence.SetDataNodeAtValue(self.segmentationNode, value)
            if self._item + 1 < self._numItems:
                self._job = self._next()
                return
        self._attach()
        self._finish()

    def _attach(self) -> None:
        """Let the browser show the segmentation of the time point that it shows, as it was before."""
        self._browser.AddSynchronizedSequenceNode(self._sequence)
        # A time point that was not segmented shows an empty segmentation, and gets none by being looked at.
        self._browser.SetMissingItemMode(self._sequence, self._browser.MissingItemSetToDefault)
        self._browser.AddProxyNode(self.segmentationNode, self._sequence, False)
        self._browser.SetSaveChanges(self._sequence, True)
        self._browser.SetSelectedItemNumber(self._startItem)

    def _finish(self) -> None:
        self._ended = True
        if self._onFinished is not None:
            self._onFinished(self._job)

    def _report(self, progress: JobProgress) -> None:
        if self._onProgress is not None:
            note = _("Time point {number} of {count}").format(number=self._item + 1, count=self._numItems)
            self._onProgress(replace(progress, note=note))
