"""Clicks with the parameters of the panel: for the typed prompt, and for results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from dsm.core.options import SegmentOptions
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.click_runs import ClickRequest, reasonOfVolume
from DSMSegmentLib.jobs.job import JobOptions
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.panel.hints import PromptContext, promptHints
from DSMSegmentLib.panel.results_section import ResultsSection
from DSMSegmentLib.panel.run_section import RunSection


def segmentOptions(parameters: Any) -> SegmentOptions:
    """Return the options of a run among the parameters of the panel."""
    names = [field.name for field in fields(SegmentOptions) if hasattr(parameters, field.name)]
    return SegmentOptions.from_form({name: getattr(parameters, name) for name in names})


class PromptClicks:
    """Connection of the button beside *Segment*, and of the clicks of results, to the parameters of the panel.

    Args:
        button: Makes a segment for the typed prompt, to be clicked.
        runs: Has the parameter node of the scene.
        run: Starts runs.
        reasonNotReady: Returns the reason why no run can start, after asking for consents; empty when one can.
        onChanged: Called when a run may have started.
    """

    def __init__(
        self,
        button: Any,
        runs: Runs,
        run: RunSection,
        reasonNotReady: Callable[[], str],
        onChanged: Callable[[], None],
    ) -> None:
        self._button = button
        self._runs: Any = runs
        self._run = run
        self._reasonNotReady = reasonNotReady
        self._onChanged = onChanged
        self.results: ResultsSection | None = None
        button.clicked.connect(self._onButton)

    def update(self, reason: str, parameters: Any) -> None:
        """Update the button.

        Args:
            reason: Why no run can be started; empty when one can.
            parameters: Parameters of the panel.
        """
        reason = reason or reasonToWait(running=self._runs.isRunning)
        if not reason and len(promptHints(parameters.prompts, PromptContext())) > 1:
            reason = _("Type one structure to click on it; each result has a button of its own.")
        if not reason:
            reason = self._runs.backend.reasonNoClicks or reasonOfVolume(parameters.inputVolume)
        enableOrExplain(self._button, not reason, reason)

    def prepared(self, segmentationNode: Any) -> None:
        """Select the segmentation that got a segment to click, or that came back with a redo."""
        self._runs.getParameterNode().outputSegmentation = segmentationNode

    def start(self, request: ClickRequest) -> bool:
        """Start a run of the clicks of a segment; returns whether it started, after saying why not."""
        if reason := self._reasonNotReady():
            self._run.say(reason)
            return False
        parameters, prompt = self._runs.getParameterNode(), request.prompt
        options = JobOptions(
            segmentOptions(parameters),
            overlap=parameters.overlapPolicy,
            modality=parameters.modality.value,
            into={prompt.name: [request.segmentId]},
            clicks={prompt.name: request.clicks},
            taken=request.taken,
            lesions=request.lesions,
        )
        if self.results is not None:
            self.results.startRun(request.volumeNode, keepOutcomes=True)
        started = self._run.start(
            request.volumeNode,
            [prompt.canonical_text],
            request.segmentationNode,
            options,
            clickChange=request.change,
        )
        self._onChanged()
        return started

    def _onButton(self, _checked: bool = False) -> None:
        if reason := self._reasonNotReady():
            self._run.say(reason)
        elif self.results is not None:
            parameters = self._runs.getParameterNode()
            self.results.clickOn(parameters.inputVolume, parameters.prompts, parameters.outputSegmentation)
