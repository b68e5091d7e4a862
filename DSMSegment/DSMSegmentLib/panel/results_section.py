"""Results section: review, undo, redo, edit, run again, show in 3D, export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dsm.errors import DSMError
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.click_runs import ClickRequest, reasonOfVolume
from DSMSegmentLib.jobs.job import SegmentationJob
from DSMSegmentLib.jobs.one_prompt import parseOne
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.panel.click_section import ClickSection
from DSMSegmentLib.panel.lesion_section import LesionSection
from DSMSegmentLib.panel.result_rows import ResultRow, resultRows
from DSMSegmentLib.panel.results_table import ResultsTable
from DSMSegmentLib.panel.threshold_section import ThresholdSection
from DSMSegmentLib.scene.correction import saveCorrection
from DSMSegmentLib.scene.edit_watches import EditWatches
from DSMSegmentLib.scene.editor_bridge import openInSegmentEditor
from DSMSegmentLib.scene.exporting import FILTERS, exportSegmentation
from DSMSegmentLib.scene.layer_packer import LayerPacker
from DSMSegmentLib.scene.mrml import segmentInScene
from DSMSegmentLib.scene.outcome import SegmentOutcome
from DSMSegmentLib.scene.placement import volumeOf
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.slice_jump import jumpToLargestSlice
from DSMSegmentLib.scene.surface_maker import SurfaceMaker, hasSurfaces
from DSMSegmentLib.scene.tag_writer import tagReviewed
from DSMSegmentLib.scene.uncertainty_overlay import UncertaintyOverlay

# A stroke of a brush is many changes: the masks are compared once it has ended.
_EDIT_DELAY_MS = 500


class ResultsSection:
    """Connection of the table and its buttons to one segmentation.

    Args:
        ui: The widgets of the form by name.
        runs: Undo and thresholds.
        onRerun: Called with a volume, the prompts that are to run again on it, and the ids of their segments by
            canonical name.
        onClicks: Called with a request when clicks have to be applied; returns whether a run started.
        onPrepared: Called with the segmentation that got an empty segment to click, or that came back with a redo.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        ui: Any,
        runs: Runs,
        onRerun: Callable[[Any, list[str], dict[str, list[str]]], None],
        onClicks: Callable[[ClickRequest], bool],
        onPrepared: Callable[[Any], None],
        say: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._runs = runs
        self._onRerun, self._onPrepared = onRerun, onPrepared
        self._say = say
        self._node: Any = None
        self._time: str | None = None
        self._runVolume: Any = None
        self._outcomes: list[SegmentOutcome] = []
        self._overlay = UncertaintyOverlay()
        self._surfaces = SurfaceMaker(self.update)
        self._packer = LayerPacker(self.noteEdits, self._onPacked)
        self._editTimer = qt.QTimer()
        self._editTimer.setSingleShot(True)
        self._editTimer.setInterval(_EDIT_DELAY_MS)
        self._editTimer.timeout.connect(self.noteEdits)
        self._watches = EditWatches(self._editTimer.start)
        self._table = ResultsTable(ui.resultsTable, self._onSelected, self._onVisible, self._onReviewed, self._onClick)
        self._clicks = ClickSection(ui, runs, self._table, onClicks, self.noteEdits, self._onRestored, self.update, say)
        self._lesions = LesionSection(ui, runs, self.noteEdits, say)
        self._threshold = ThresholdSection(
            ui.resultThresholdSlider,
            ui.postprocessCheckBox,
            runs,
            self.noteEdits,
            self._onOwnChange,
            say,
        )
        for button, act in (
            (ui.undoButton, self._onUndo),
            (ui.redoButton, self._onRedo),
            (ui.editButton, self._onEdit),
            (ui.rerunButton, self._onRerunSelected),
            (ui.show3DButton, self._onShow3D),
            (ui.uncertaintyButton, self._onUncertainty),
            (ui.exportButton, self._onExport),
            (ui.saveCorrectionButton, self._onSaveCorrection),
        ):
            button.clicked.connect(partial(self._onClicked, button, act))
        # Only while the keyboard belongs to this section, or to the panel while clicks are placed: text fields and the
        # Segment Editor have undo of their own.
        self._keysOfSection = self._keys(ui.resultsCollapsibleButton)
        self._keysOfPanel = self._keys(ui.resultsCollapsibleButton.parentWidget())
        self.update()

    def _keys(self, widget: Any) -> list[Any]:
        """Make the keys of undo and redo for a widget and what is in it."""
        undo, redo = self._ui.undoButton, self._ui.redoButton
        shortcuts = []
        for keys, button in (("Ctrl+Z", undo), ("Ctrl+Y", redo), ("Ctrl+Shift+Z", redo)):
            shortcut = qt.QShortcut(qt.QKeySequence(keys), widget)
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
            shortcut.activated.connect(button.click)
            shortcuts.append(shortcut)
        return shortcuts

    def setNode(self, segmentationNode: Any) -> None:
        """Show the results of another segmentation, or of none."""
        if segmentationNode is not self._node:
            self._node = segmentationNode
            self._outcomes = []
            self._threshold.stop()
        self._clicks.watch()
        self.update()

    def startRun(self, volumeNode: Any, *, keepOutcomes: bool = False) -> None:
        """Record manual edits before a run; changes by the run itself are no edits.

        Args:
            volumeNode: That is segmented.
            keepOutcomes: Whether rows without a segment stay.
        """
        self._packer.stop()
        self.noteEdits()
        self._surfaces.finish()
        self._runVolume = volumeNode
        if self._node is not None:
            self._watches.stop(self._node)
        if not keepOutcomes:
            self._outcomes = []

    def endRun(self, job: SegmentationJob) -> None:
        """Update after a run: its probability maps are available, and later changes are edits."""
        self._clicks.finished(job)
        self._actOnSelected()
        self.watch()
        if self._node is not None and self._node.GetScene() is not None:
            self._packer.start(self._node)

    def leave(self) -> None:
        """Finish layer packing when another module is opened; later changes are edits."""
        if not self._runs.isRunning:
            self._packer.finish()
            self.watch()

    def addOutcome(self, segmentationNode: Any, outcome: SegmentOutcome) -> None:
        """Show one more outcome of the running job."""
        self._node = segmentationNode
        self._outcomes.append(outcome)
        self.update()

    def noteEdits(self) -> None:
        """Tag segments edited since the last run."""
        self._editTimer.stop()
        edited = self._watches.noteEdits()
        for node, _segmentId in edited:
            self._runs.forgetRedo(node)
        self.update()
        if any((self._node, row.segmentId) in edited for row in self._table.selected):
            self._actOnSelected()  # the slider no longer does

    def clickOn(self, volumeNode: Any, prompt: str, segmentationNode: Any) -> None:
        """Start to place clicks for a prompt, in a new segment or in an empty one that waits for them.

        Args:
            volumeNode: That is going to be clicked.
            prompt: One structure.
            segmentationNode: Where a new segment is added; None for a new segmentation.
        """
        self._runVolume = volumeNode
        try:
            name = parseOne(prompt).name
            waiting = [row.segmentId for row in self._table.rows if row.prompt.name == name and row.isToBeClicked]
            volumes = [volumeOfSegment(self._node, segmentId) for segmentId in waiting]
            if volumeNode in volumes:
                self._clicks.toggle(self._node, waiting[volumes.index(volumeNode)])
                return
            node, segmentId = self._runs.prepareSegment(volumeNode, prompt, segmentationNode)
        except DSMError as error:
            self._say(error.one_line)
            return
        self._outcomes = [outcome for outcome in self._outcomes if outcome.prompt.name != name]
        self._node = node
        self._onPrepared(node)
        self.watch()
        self._clicks.toggle(node, segmentId)
        self.update()

    def cancelClicks(self) -> None:
        """Take back all clicks that have no mask yet, and stop the run that would apply them."""
        self._clicks.cancel()

    def follow(self) -> None:
        """Poll for changed clicks, and for a change of the shown sequence item; call this from a timer."""
        self._clicks.follow()
        self._lesions.follow()
        time = timeOf(self._node)
        if time == self._time:
            return
        self._time = time
        self.update()
        self._actOnSelected()

    def update(self) -> None:
        """Update table and buttons from the scene."""
        self._overlay.hideIfGone()
        node = self._node if self._node is not None and self._node.GetScene() is not None else None
        self._table.setRows(resultRows(node, self._outcomes), clickable=not self._runs.backend.reasonNoClicks)
        selected = self._table.selected
        canRedo = self._runs.canRedo(node)
        self._ui.resultsCollapsibleButton.visible = bool(self._table.rows) or canRedo
        segments = [row for row in selected if row.segmentId]
        wait = reasonToWait(running=self._runs.isRunning)
        noSegment = "" if any(row.segmentId for row in self._table.rows) else _("There is no segment.")
        noMap = _("Select a result of a run with uncertainty maps (see Advanced).")
        if len(segments) == 1 and self._runs.isUncertaintyElsewhere(node, segments[0].segmentId):
            noMap = _("The map of {name} belongs to another sequence item.").format(name=segments[0].name)
        hasMap = len(segments) == 1 and self._runs.uncertaintyOf(node, segments[0].segmentId) is not None
        edited = len(segments) == 1 and segments[0].edited
        for button, reason in (
            (self._ui.undoButton, wait or ("" if self._runs.canUndo(node) else _("There is nothing to undo."))),
            (self._ui.redoButton, wait or ("" if canRedo else _("There is nothing to redo."))),
            (self._ui.editButton, wait or ("" if segments else _("Select a segment first."))),
            (self._ui.rerunButton, wait or ("" if selected else _("Select one or more rows first."))),
            (self._ui.show3DButton, wait or noSegment),
            (self._ui.uncertaintyButton, "" if hasMap or self._overlay.isShown else noMap),
            (self._ui.exportButton, wait or noSegment),
            (
                self._ui.saveCorrectionButton,
                wait or ("" if edited else _("Select one segment that you have corrected in the Segment Editor.")),
            ),
        ):
            enableOrExplain(button, not reason, reason)
        self._ui.uncertaintyButton.setChecked(self._overlay.isShown)
        placing = self._clicks.isPlacing
        for ofSection, ofPanel in zip(self._keysOfSection, self._keysOfPanel, strict=True):
            ofSection.setEnabled(not placing)  # two for one key would be ambiguous
            ofPanel.setEnabled(placing)
        self._clicks.update(node, self._reasonNoVolume())
        self._threshold.update()
        self._lesions.update(node, self._table.rows, selected)
        self._ui.show3DButton.setChecked(node is not None and (hasSurfaces(node) or node is self._surfaces.node))

    def close(self) -> None:
        """Stop observing the scene."""
        self._editTimer.stop()
        self._watches.close()
        self._threshold.stop()
        self._packer.stop()
        self._surfaces.stop()
        self._overlay.hide()
        self._clicks.close()
        self._node = None
        self._outcomes = []
        self.update()  # a panel that is not open may come back before anything else updates it

    def unload(self) -> None:
        """Stop observing for good, when the module is unloaded."""
        self.close()
        self._clicks.unload()
        for shortcut in (*self._keysOfSection, *self._keysOfPanel):
            shortcut.setEnabled(False)

    def watch(self) -> None:
        """Watch for manual edits from now on."""
        self._watches.watchAll()

    def _onPacked(self) -> None:
        """Ignore repacked layers: their masks are unchanged."""
        if self._node is not None:
            self._watches.restart(self._node)

    def _onOwnChange(self) -> None:
        """Ignore a threshold change, which is not a manual edit."""
        self._watches.restart(self._node)
        self.update()

    def _actOnSelected(self) -> None:
        """Connect the slider to the selected row, whose mask may have changed."""
        selected = self._table.selected
        self._threshold.select(self._node, selected[0].segmentId if selected else "")

    def _onClicked(self, button: Any, act: Callable[[], None], _checked: bool = False) -> None:
        """Handle a click with the current scene: the segment may have been deleted since the last update."""
        self.update()
        if button.enabled:
            act()

    def _isThere(self, segmentId: str) -> bool:
        return segmentInScene(self._node, segmentId) is not None

    def _onSelected(self, segmentId: str) -> None:
        self._threshold.select(self._node, segmentId)
        if segmentId and self._isThere(segmentId):
            jumpToLargestSlice(self._node, segmentId)
        self.update()
        self._lesions.open(segmentId)

    def _onVisible(self, segmentId: str, visible: bool) -> None:
        if self._isThere(segmentId):
            self._node.GetDisplayNode().SetSegmentVisibility(segmentId, visible)
        self.update()

    def _onReviewed(self, segmentId: str, reviewed: bool) -> None:
        if self._isThere(segmentId):
            tagReviewed(self._node, segmentId, reviewed=reviewed)
        self.update()

    def _onClick(self, row: ResultRow) -> None:
        if row.segmentId:
            if self._isThere(row.segmentId):
                self._clicks.toggle(self._node, row.segmentId)
        elif not self._reasonNoVolume():
            self.clickOn(self._runVolume, row.prompt.canonical_text, self._node)
        self.update()

    def _reasonNoVolume(self) -> str:
        """Return why rows without a segment cannot be clicked; empty if they can."""
        if self._runVolume is None or self._runVolume.GetScene() is None:
            return _("The volume of the last run is not in the scene.")
        return reasonOfVolume(self._runVolume)

    def _onRestored(self, segmentationNode: Any) -> None:
        """Ignore a mask that came back with its last click, which is not a manual edit."""
        self._watches.restart(segmentationNode)
        self.update()

    def _onUndo(self) -> None:
        node = self._node
        self._threshold.stop()
        self._watches.stop(node)
        if self._runs.undoLast(node):
            self._outcomes = []
            self._say(_("The last change was undone."))
        if node.GetScene() is None:  # the run had made it
            self._node = None
            # Slicer's list goes on to the next segmentation when the selected one goes: the next run would write there.
            self._ui.outputSegmentationSelector.setCurrentNode(None)
        self.watch()
        self.update()

    def _onRedo(self) -> None:
        self.noteEdits()
        node = self._node if self._node is not None and self._node.GetScene() is not None else None
        if not self._runs.canRedo(node):  # edited by hand just now
            return
        self._threshold.stop()
        if node is not None:
            self._watches.stop(node)
        self._outcomes = []
        self._node = self._runs.redoLast(node)
        if self._node is not node:  # undo had removed it
            self._onPrepared(self._node)
        self._say(_("The change that was undone was done again."))
        self._clicks.watch()
        self.watch()
        self.update()

    def _onEdit(self) -> None:
        self.watch()
        segmentId = self._segments()[0].segmentId
        openInSegmentEditor(self._node, volumeOfSegment(self._node, segmentId), segmentId)

    def _onRerunSelected(self) -> None:
        rows = self._table.selected
        # Prompts without a result were segmented in the volume of the last run.
        volumes = [volumeOfSegment(self._node, row.segmentId) if row.segmentId else self._runVolume for row in rows]
        if any(volume is not volumes[0] for volume in volumes):
            self._say(_("The selected results are of several volumes: run those of one volume at a time."))
            return
        if any(self._clicks.hasClicks(self._node, row.segmentId) for row in rows):
            if len(rows) > 1:
                self._say(_("Run results with clicks one at a time."))
            else:
                self._clicks.rerun(self._node, rows[0].segmentId)
            return
        into: dict[str, list[str]] = {}
        for row in rows:
            into.setdefault(row.prompt.name, []).extend([row.segmentId] if row.segmentId else [])
        self._onRerun(volumes[0], [row.prompt.canonical_text for row in rows], into)

    def _onShow3D(self) -> None:
        if self._node is self._surfaces.node or hasSurfaces(self._node):
            self._surfaces.stop()
            self._node.RemoveClosedSurfaceRepresentation()
        else:
            self._surfaces.start(self._node)
        self.update()

    def _onUncertainty(self) -> None:
        segments = self._segments()
        chosen = segments[0].segmentId if segments else ""
        map_ = self._runs.uncertaintyOf(self._node, chosen)
        if map_ is None or chosen == self._overlay.segmentId:
            self._overlay.hide()
        else:
            self._overlay.show(self._node, chosen, map_)
        self.update()

    def _onExport(self) -> None:
        path = qt.QFileDialog.getSaveFileName(None, _("Export"), f"{self._node.GetName()}.seg.nrrd", FILTERS)
        # PySide6 gives the filter along, PythonQt does not.
        name = path[0] if isinstance(path, tuple) else path
        if not name:
            return
        self.noteEdits()
        try:
            exportSegmentation(self._node, volumeOf(self._node), Path(name))
        except DSMError as error:
            self._say(error.one_line)
        else:
            self._say(_("{name} was written.").format(name=Path(name).name))

    def _onSaveCorrection(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of training cases"))
        if not folder:
            return
        segmentId = self._segments()[0].segmentId
        try:
            case = saveCorrection(self._node, segmentId, Path(folder), self._watches.original(self._node, segmentId))
        except DSMError as error:
            self._say(error.one_line)
        else:
            self._say(_("The training case {name} was stored; it stays on this computer.").format(name=case))

    def _segments(self) -> list[ResultRow]:
        return [row for row in self._table.selected if row.segmentId]
