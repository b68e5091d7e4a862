"""Clicks in the views: the place button of each result, the kind of the next click, and taking clicks back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.click_runs import ClickRequest, ClickRuns, reasonNotClickable
from DSMSegmentLib.jobs.job import SegmentationJob
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.panel.result_rows import ResultRow
from DSMSegmentLib.panel.results_table import ClickButton, ResultsTable
from DSMSegmentLib.scene.click_list import clickListOf, ensureClickList, numClicks, showKinds, takeBackLast
from DSMSegmentLib.scene.click_watch import ClickWatch
from DSMSegmentLib.scene.place_mode import PlaceMode
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment


class ClickSection:
    """Connection of the place buttons to the points in the scene and to the runs that they start.

    Args:
        ui: The widgets of the form by name.
        runs: Starts and stops runs.
        table: Results, with a place button each.
        start: Starts a run of clicks; returns whether it started, after saying why not.
        noteEdits: Tags what was edited by hand up to now.
        onRestored: Called with the segmentation after a mask was restored without a run.
        onChanged: Called when the buttons have to be updated.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        ui: Any,
        runs: Runs,
        table: ResultsTable,
        start: Callable[[ClickRequest], bool],
        noteEdits: Callable[[], None],
        onRestored: Callable[[Any], None],
        onChanged: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._runs = runs
        self._table = table
        self._refresh = onChanged
        self._say = say
        self._node: Any = None
        self._clickRuns = ClickRuns(runs, start, noteEdits, onRestored, say)
        self._watch = ClickWatch(self._clickRuns.adopt, self._onChanged, self._onPoint)
        self._place = PlaceMode(self._onPlaceMode)
        self._backspace = qt.QShortcut(qt.QKeySequence("Backspace"), ui.resultsTable)
        self._backspace.activated.connect(self.takeBack)
        self._outsideKey = qt.QShortcut(qt.QKeySequence("O"), ui.resultsTable)
        self._outsideKey.setContext(qt.Qt.ApplicationShortcut)
        self._outsideKey.activated.connect(ui.outsideButton.toggle)
        ui.outsideButton.toggled.connect(self._onOutside)
        ui.takeBackClickButton.clicked.connect(self.takeBack)
        self._setKeys(placing=False)

    @property
    def isPlacing(self) -> bool:
        """True while a click in a view is one of a result."""
        return self._placing is not None

    def watch(self) -> None:
        """Follow the clicks of the scene from now on."""
        self._watch.watchAll()

    def toggle(self, segmentationNode: Any, segmentId: str) -> None:
        """Start to place clicks of a segment, or end it."""
        points = clickListOf(segmentationNode, segmentId)
        if points is not None and points is self._placing:
            self._place.stop()
            return
        if reason := reasonNotClickable(segmentationNode, segmentId):
            self._say(reason)
            return
        volumeNode = volumeOfSegment(segmentationNode, segmentId)
        if volumeNode is None:
            return
        points = ensureClickList(segmentationNode, segmentId, volumeNode)
        self._watch.watchAll()
        points.SetDisplayVisibility(True)
        self._ui.outsideButton.checked = False
        self._place.start(points)
        name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        self._say(_("Click inside of {name} in a slice view. The right mouse button ends it.").format(name=name))

    def takeBack(self, _checked: bool = False) -> None:
        """Take back the last click of the segment that is clicked or selected."""
        points = self._points
        if points is not None:
            takeBackLast(points)

    def hasClicks(self, segmentationNode: Any, segmentId: str) -> bool:
        """Return whether a segment has clicks."""
        return bool(segmentId) and numClicks(clickListOf(segmentationNode, segmentId)) > 0

    def rerun(self, segmentationNode: Any, segmentId: str) -> None:
        """Run the clicks of a segment again, also over what was edited by hand."""
        self._clickRuns.rerun(segmentationNode, segmentId)

    def cancel(self) -> None:
        """Take back all clicks that have no mask yet, and stop the run that would apply them."""
        self._clickRuns.cancel()

    def finished(self, job: SegmentationJob) -> None:
        """Note the end of a run."""
        self._clickRuns.finished(job)

    def follow(self) -> None:
        """Start the runs that are due; call this from a timer."""
        self._clickRuns.follow()

    def update(self, segmentationNode: Any, reasonNoVolume: str) -> None:
        """Update the buttons.

        Args:
            segmentationNode: Of the rows; None for none.
            reasonNoVolume: Why rows without a segment cannot be clicked; empty if they can.
        """
        self._node = segmentationNode
        reasonNoClicks = self._runs.backend.reasonNoClicks
        self._table.showClickButtons([self._button(row, reasonNoClicks, reasonNoVolume) for row in self._table.rows])
        numPlaced = numClicks(self._points)
        enableOrExplain(self._ui.takeBackClickButton, numPlaced > 0, _("There is no click to take back."))
        enableOrExplain(
            self._ui.outsideButton, self._placing is not None, _("Press the button Click of a result first.")
        )

    def close(self) -> None:
        """End placing, and stop observing the scene."""
        if self._placing is not None:
            self._place.stop()
        self._watch.close()
        self._clickRuns.clear()
        self._node = None

    def unload(self) -> None:
        """Disconnect for good, when the module is unloaded."""
        self.close()
        self._place.close()
        for shortcut in (self._backspace, self._outsideKey):
            shortcut.setEnabled(False)

    @property
    def _points(self) -> Any:
        """List of the segment that is being clicked, else of the selected row."""
        if self._placing is not None:
            return self._placing
        selected = [row.segmentId for row in self._table.selected if row.segmentId]
        return clickListOf(self._node, selected[0]) if self._node is not None and len(selected) == 1 else None

    @property
    def _placing(self) -> Any:
        """List that clicks are placed in; None while none are, or points of something else."""
        points = self._place.node
        return points if points is not None and self._watch.isWatched(points) else None

    def _button(self, row: ResultRow, reasonNoClicks: str, reasonNoVolume: str) -> ClickButton:
        points = clickListOf(self._node, row.segmentId) if self._node is not None and row.segmentId else None
        count = numClicks(points)
        placing = points is not None and points is self._placing
        reason = reasonNoClicks
        if not reason:
            reason = reasonNotClickable(self._node, row.segmentId) if row.segmentId else reasonNoVolume
        reason = reasonToWait(running=self._runs.isRunning and not self._clickRuns.isRunning) or reason
        tip = _("Click on {name} in a slice view: what lies there becomes the segment, whatever the name.")
        if placing:
            tip = _("End placing clicks of {name}.")
        return ClickButton(
            text=_("Click ({count})").format(count=count) if count else _("Click"),
            checked=placing,
            enabled=placing or not reason,
            toolTip=reason if reason and not placing else tip.format(name=row.name),
        )

    def _onChanged(self, segmentationNode: Any, segmentId: str) -> None:
        self._clickRuns.request(segmentationNode, segmentId)
        self._refresh()

    def _onPoint(self, points: Any) -> None:
        showKinds(points, inside=not self._ui.outsideButton.checked)

    def _onOutside(self, outside: bool) -> None:
        if self._placing is not None:
            showKinds(self._placing, inside=not outside)

    def _onPlaceMode(self) -> None:
        self._setKeys(placing=self._placing is not None)
        self._refresh()

    def _setKeys(self, *, placing: bool) -> None:
        # While clicks are placed, the keyboard belongs to a view and not to the panel. Text fields keep their keys.
        self._backspace.setContext(qt.Qt.ApplicationShortcut if placing else qt.Qt.WidgetWithChildrenShortcut)
        self._outsideKey.setEnabled(placing)
        if not placing:
            self._ui.outsideButton.checked = False
