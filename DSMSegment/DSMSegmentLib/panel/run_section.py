"""Start and cancel button, progress bar, and status line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dsm.errors import DSMError
from dsm.wire.messages import Progress
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.job import JobOptions, JobState, SegmentationJob
from DSMSegmentLib.jobs.run_log import RunLog
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.summary import finishedText, progressText
from DSMSegmentLib.scene.outcome import SegmentOutcome
from DSMSegmentLib.scene.surface_pause import SurfacePause
from DSMSegmentLib.scene.undo import Change

# Often enough for a progress bar that moves, seldom enough for an idle window.
_POLL_INTERVAL_MS = 50
# A run that is cancelled is over within two seconds: then the worker is killed.
_CLOSE_S = 3.0


class RunSection:
    """Run prompts and show their progress; all widgets follow from the state of the run.

    Args:
        ui: The widgets of the form by name.
        runs: Starts and stops runs.
        log: Where every sentence goes, too.
        onResult: Called with each outcome, once it is in the scene.
        onFinished: Called with the job at its end.
        onTick: Called every 50 ms, always.
    """

    def __init__(
        self,
        ui: Any,
        runs: Runs,
        log: RunLog,
        onResult: Callable[[SegmentOutcome], None],
        onFinished: Callable[[SegmentationJob], None],
        onTick: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._runs = runs
        self._log = log
        self._onResult, self._onFinishedRun, self._onTick = onResult, onFinished, onTick
        self._note = ""
        self._appliesClicks = False
        self._surfaces = SurfacePause()
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_INTERVAL_MS)
        self._timer.timeout.connect(self._poll)
        self._timer.start()

    def start(
        self,
        volumeNode: Any,
        prompts: str | list[str],
        segmentationNode: Any,
        options: JobOptions,
        *,
        all4D: bool = False,
        clickChange: Change | None = None,
    ) -> bool:
        """Start a run; returns whether it started. Otherwise the status line explains why not.

        Args:
            volumeNode: That is segmented.
            prompts: Structures to segment.
            segmentationNode: Where to write; None for a new one.
            options: How to segment and write.
            all4D: Whether all items of the sequence are segmented that the volume shows.
            clickChange: Change of the clicks that the run applies; not for a sequence.
        """
        arguments: dict[str, Any] = {
            "onProgress": self._onProgress,
            "onResult": self._onOutcome,
            "onFinished": self._onFinished,
        }
        try:
            if all4D:
                # A run makes a new sequence; one that is to write into segments takes theirs.
                target = segmentationNode if options.into else None
                self._runs.segmentSequence(volumeNode, prompts, options, segmentationNode=target, **arguments)
            else:
                self._runs.segment(
                    volumeNode,
                    prompts,
                    segmentationNode,
                    options,
                    interactive=True,
                    clickChange=clickChange,
                    **arguments,
                )
        except DSMError as error:
            self.say(error.one_line)
            return False
        self._appliesClicks = clickChange is not None
        self._surfaces.begin(self._runs.segmentationNode)
        self._ui.progressBar.maximum = 0  # until the first progress: a bar that only moves
        self.say(_("Starting..."))
        return True

    def cancel(self) -> None:
        """Stop the run; what was finished stays."""
        self.say(_("Cancelling..."))
        self._runs.cancel()

    def say(self, text: str) -> None:
        """Show a sentence in the status line, and log it."""
        self._ui.statusLabel.text = text
        self._log.add(text)

    def update(self, reason: str) -> None:
        """Update the button.

        Args:
            reason: Why no run can be started; empty when one can.
        """
        running = self._runs.isRunning
        button = self._ui.applyButton
        self._ui.progressBar.visible = running
        button.text = _("Cancel") if running else _("Segment")
        button.enabled = running or not reason
        button.toolTip = _("Stop; finished segments stay.") if running else reason or _("Segment the volume.")

    def close(self) -> None:
        """Stop the run, let it clean up the scene, and stop polling."""
        self._timer.stop()
        self._runs.cancel()
        deadlineS = time.monotonic() + _CLOSE_S
        while self._runs.isRunning and time.monotonic() < deadlineS:
            self._runs.poll()
        self._surfaces.end()

    def _poll(self) -> None:
        self._runs.poll()
        self._onTick()

    def _onProgress(self, progress: Progress) -> None:
        self._ui.progressBar.maximum = max(progress.total, 1)
        self._ui.progressBar.value = progress.done
        # Not logged: there are many.
        self._ui.statusLabel.text = progressText(progress)
        if progress.note and progress.note != self._note:
            self._note = progress.note
            self._log.add(progress.note)

    def _onOutcome(self, outcome: SegmentOutcome) -> None:
        for warning in outcome.warnings:
            self._log.add(warning)
        self._onResult(outcome)

    def _onFinished(self, job: SegmentationJob) -> None:
        if not (self._appliesClicks and job.state is JobState.CANCELLED):  # it was said why
            self.say(finishedText(job))
        if job.state is JobState.FAILED and job.error is not None and job.error.details:
            self._log.add(job.error.details)
        for warning in job.warnings:
            self._log.add(warning)
        self._onFinishedRun(job)
        self._surfaces.endSoon()


def reasonOfInputs(parameters: Any) -> str:
    """Return why the inputs of the panel cannot be segmented yet, in a sentence; empty if they can."""
    if not parameters.inputVolume:
        return _("Select a CT or MR volume first.")
    return "" if parameters.prompts.strip() else _("Type what to segment first, one structure per line.")
