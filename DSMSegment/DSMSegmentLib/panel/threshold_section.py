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
from DSMSegmentLib.scene.segment_tags import isEdited, tagOf
from DSMSegmentLib.scene.sequence_item import timeOf

# One write for all positions that the slider passed in the meantime.
_DELAY_MS = 60


class ThresholdSection:
    """Connects the slider to the selected result.

    Args:
        slider: `ctkSliderWidget`, 0 to 1; also the threshold of the next run.
        label: Says what the slider acts on.
        postprocess: `QCheckBox`.
        runs: Keeps the probabilities.
        noteEdits: Tags what was changed by hand up to now.
        onWritten: Called when a mask has changed.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        slider: Any,
        label: Any,
        postprocess: Any,
        runs: Runs,
        noteEdits: Callable[[], None],
        onWritten: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._slider, self._label, self._keepLargest = slider, label, postprocess
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
        segment = segmentationNode.GetSegmentation().GetSegment(segmentId) if segmentationNode and segmentId else None
        if segment is None:
            self._label.text = _("Applies to the next run. Select a result to change its own threshold.")
        elif self._runs.isThresholdElsewhere(segmentationNode, segmentId):
            self._label.text = _(
                "Applies to the next run. The probabilities of {name} belong to another sequence item."
            ).format(name=segment.GetName())
        elif isEdited(segment):
            self._label.text = _("Applies to the next run. {name} was edited manually and stays unchanged.").format(
                name=segment.GetName()
            )
        elif not self._runs.canSetThreshold(segmentationNode, segmentId):
            self._label.text = _("Applies to the next run. The probabilities of {name} are not in memory.").format(
                name=segment.GetName()
            )
        else:
            self._label.text = _("Applies to {name} immediately, and to the next run.").format(name=segment.GetName())
            self._showing = True
            self._slider.value = float(tagOf(segment, THRESHOLD_TAG) or self._slider.value)
            self._showing = False

    def stop(self) -> None:
        """Discard a pending change."""
        self._timer.stop()
        self._node, self._segmentId = None, ""

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
                self._node, self._segmentId, self._slider.value, postprocess=self._keepLargest.checked
            )
        except DSMError as error:
            self._say(error.one_line)
        else:
            self._onWritten()
