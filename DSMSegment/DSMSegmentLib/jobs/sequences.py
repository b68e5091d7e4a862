"""Runs over all sequence items of a 4D image; the segmentations become a sequence beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import slicer

from dsm.errors import DSMError, InputError
from dsm.wire.messages import Progress
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.job import JobState, SegmentationJob
from DSMSegmentLib.jobs.sequence_target import NewSequence, SequenceTarget, ShownSequence
from DSMSegmentLib.scene.outcome import SegmentOutcome
from DSMSegmentLib.scene.sequence_item import SequenceItem, browserOf

StartJob = Callable[..., SegmentationJob]


class SequenceRun:
    """Run over all items of a browser, one job each; finished items stay, even if the run fails later.

    A later item that cannot be started, for example since the region lies outside of it, ends the run as failed.

    Args:
        volumeNode: Shows the current sequence item.
        startJob: Makes and starts the job of one sequence item; takes the callbacks of `SegmentationJob`, the
            segmentation to write to, and nothing else.
        segmentationNode: Where to write, if it shows a sequence of the same browser; otherwise a new sequence is made.
        onProgress: Called with each progress; its note says which sequence item it is.
        onResult: Called with each outcome.
        onFinished: Called at the end with the last job, which tells of all sequence items.

    Raises:
        InputError: If the volume is no item of a sequence.
    """

    def __init__(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        startJob: StartJob,
        *,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        onProgress: Callable[[Progress], None] | None = None,
        onResult: Callable[[SegmentOutcome], None] | None = None,
        onFinished: Callable[[SegmentationJob], None] | None = None,
    ) -> None:
        browser = browserOf(volumeNode)
        if browser is None:
            raise InputError(
                f"{volumeNode.GetName()} is not part of a sequence.",
                code="input.sequence",
                hint="Choose one sequence item.",
            )
        self._browser = browser
        self._volumeNode = volumeNode
        self._startJob = startJob
        self._onProgress, self._onResult, self._onFinished = onProgress, onResult, onFinished
        self._numItems = browser.GetNumberOfItems()
        self._start = SequenceItem.shownBy(volumeNode)
        self._item = -1
        self._ended = False
        self._outcomes: list[SegmentOutcome] = []
        self._seconds = 0.0
        self._scene = volumeNode.GetScene()
        self._target: SequenceTarget
        if segmentationNode is not None and browserOf(segmentationNode) is browser:
            self._target = ShownSequence(browser, segmentationNode)
        else:
            self._target = NewSequence(browser, volumeNode)
        self.segmentationNode, self.journal = self._target.segmentationNode, self._target.journal
        try:
            self._job = self._next()
        except Exception:  # bad prompts, for example: nothing is left behind
            self._showStart()
            self._target.end()
            raise

    @property
    def isOver(self) -> bool:
        """True once the last item is done, or the run was stopped."""
        return self._ended

    @property
    def state(self) -> JobState:
        """State of the current sequence item, or of the whole run at its end."""
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
        """Error of the run; None if it did not fail."""
        return self._job.error

    def _next(self) -> SegmentationJob:
        self._item += 1
        self._browser.SetSelectedItemNumber(self._item)
        self._target.begin()
        return self._startJob(segmentationNode=self.segmentationNode, onProgress=self._report, onResult=self._onResult)

    def _endItem(self) -> None:
        isFinished = self._job.state is JobState.FINISHED
        if not self._nodesAreGone():
            # Of a sequence item that was not finished, too, the segments stay that are there.
            if isFinished or any(outcome.segmentId for outcome in self._job.outcomes):
                self._target.keep(self._item, self._job)
            if isFinished and self._item + 1 < self._numItems and self._goesOn():
                return
        self._target.end()
        self._showStart()
        self._finish()

    def _showStart(self) -> None:
        if self._start is not None:
            self._start.show()

    def _goesOn(self) -> bool:
        """Start the next sequence item; where that fails, the job before stands for the run that failed."""
        before = self._job
        try:
            self._job = self._next()
        except Exception as caught:
            self._job.fail(_atItem(self._item + 1, caught))
            return False
        self._outcomes += before.outcomes
        self._seconds += before.seconds
        return True

    def _nodesAreGone(self) -> bool:
        """Return whether the user closed the scene, or deleted a node that the run fills."""
        return any(node.GetScene() is not self._scene for node in self._target.nodes)

    def _finish(self) -> None:
        self._ended = True
        self._job.mergeEarlierOutcomes(self._outcomes, self._seconds)
        if self._onFinished is not None:
            self._onFinished(self._job)

    def _report(self, progress: Progress) -> None:
        if self._onProgress is not None:
            note = _("Sequence item {number} of {count}").format(number=self._item + 1, count=self._numItems)
            self._onProgress(replace(progress, note=note))


def _atItem(number: int, caught: Exception) -> DSMError:
    """Return the error with the sequence item, from 1: when it is read, the views show another one."""
    error = caught
    if not isinstance(error, DSMError):  # a defect, but the panel must come back to life and say so
        error = DSMError(f"it could not be started ({type(caught).__name__}: {caught}).", hint="Please report this.")
    kind = InputError if isinstance(error, InputError) else DSMError
    named = kind(f"Sequence item {number}: {error}", code=error.code, hint=error.hint, details=error.details)
    named.__cause__ = caught
    return named
