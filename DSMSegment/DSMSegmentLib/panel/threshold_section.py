"""Threshold slider of the selected result, based on stored probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from dsm.core.segment_tags import THRESHOLD_TAG
from dsm.errors import DSMError
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.scene.mrml import segmentInScene
from DSMSegmentLib.scene.segment_tags import isEdited, isUneditedResult, tagOf
from DSMSegmentLib.scene.sequence_item import timeOf

# One write for all positions that the slider passed in the meantime.
_DELAY_MS = 60


class ThresholdSection:
    """Connection of the slider to the selected result.

    Args:
        slider: `ctkSliderWidget`, 0 to 1; its tool tip says why it is disabled.
        postprocess: `QCheckBox`.
        runs: Keeps the probabilities.
        noteEdits: Tags what was changed by hand up to now.
        onWritten: Called when a mask has changed.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        slider: Any,
        postprocess: Any,
        runs: Runs,
        noteEdits: Callable[[], None],
        onWritten: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._slider, self._postprocess = slider, postprocess
        self._runs = runs
        self._noteEdits = noteEdits
        self._onWritten = onWritten
        self._say = say
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._segmentId = ""
        self._movedAt: str | None = None
        self._showing = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self._write)
        slider.valueChanged.connect(self._onValue)

    def select(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> None:
        """Select another result, or none; the slider then shows its threshold."""
        self._timer.stop()
        self._node, self._segmentId = segmentationNode, segmentId
        self.update()
        segment = self._segment
        if segment is not None and self._slider.enabled:
            self._showing = True
            self._slider.value = float(tagOf(segment, THRESHOLD_TAG) or self._slider.value)
            self._showing = False

    def update(self) -> None:
        """Enable the slider, or let it say why it is disabled."""
        reason = self._reason()
        enableOrExplain(self._slider, not reason, reason)

    def stop(self) -> None:
        """Discard a pending change."""
        self._timer.stop()
        self._node, self._segmentId = None, ""

    @property
    def _segment(self) -> slicer.vtkSegment | None:
        return segmentInScene(self._node, self._segmentId)

    def _reason(self) -> str:
        """Return why the selected result has no threshold to change; empty if it has one."""
        segment = self._segment
        if segment is None or self._node is None:
            return _("Select a segment first.")
        if wait := reasonToWait(running=self._runs.isRunning):
            return wait
        if self._runs.isThresholdElsewhere(self._node, self._segmentId):
            reason = _("The probabilities of {name} belong to another sequence item.")
        elif isEdited(segment) and isUneditedResult(segment):
            reason = _("{name} was found by clicks: change it by more clicks.")
        elif isEdited(segment):
            reason = _("{name} was edited by hand, which another threshold would undo.")
        elif not self._runs.canSetThreshold(self._node, self._segmentId):
            reason = _("The probabilities of {name} are not in memory: run it again.")
        else:
            return ""
        return reason.format(name=segment.GetName())

    def _onValue(self, _value: float = 0.0) -> None:
        if not self._showing and self._node is not None and self._runs.canSetThreshold(self._node, self._segmentId):
            self._movedAt = timeOf(self._node)
            self._timer.start()

    def _write(self) -> None:
        if self._node is None or self._node.GetScene() is None:
            return
        if timeOf(self._node) != self._movedAt:  # the segment of this id is another one by now
            return
        self._noteEdits()
        try:
            self._runs.setThreshold(
                self._node, self._segmentId, self._slider.value, postprocess=self._postprocess.checked
            )
        except DSMError as error:
            self._say(error.one_line)
        else:
            self._onWritten()
