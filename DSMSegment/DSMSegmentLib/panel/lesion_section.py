"""List of the lesions of a tumor: measured, shown in the slice views, accepted and rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dsm.errors import DSMError
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.background_call import BackgroundCall
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.panel.lesion_text import diametersText, intensityText, lesionVolumeText
from DSMSegmentLib.panel.result_rows import ResultRow
from DSMSegmentLib.panel.row_table import setUpRowTable
from DSMSegmentLib.scene.lesion_review import acceptedLesions, acceptLesions, lesionMark
from DSMSegmentLib.scene.lesions import hasLesions, noteOnSlices
from DSMSegmentLib.scene.listed_lesions import ListedLesions
from DSMSegmentLib.scene.mrml import maskTime, modalityOfNode, segmentInScene
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.slice_jump import jumpTo

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion

# A measurement that takes longer goes on in the background.
_QUICK_S = 0.03
_NUMBER, _DIAMETERS, _VOLUME, _INTENSITY, _ACCEPTED, _REJECT = range(6)


class LesionSection:
    """Connection of the list to the selected result, or to the first tumor among the results.

    Args:
        ui: The widgets of the form by name.
        runs: Removes lesions, with undo.
        noteEdits: Tags what was edited by hand up to now, and updates the panel.
        say: Shows a sentence in the status line.
    """

    def __init__(self, ui: Any, runs: Runs, noteEdits: Callable[[], None], say: Callable[[str], None]) -> None:
        self._button, self._table, self._label = ui.lesionsCollapsibleButton, ui.lesionsTable, ui.lesionsLabel
        self._runs = runs
        self._noteEdits = noteEdits
        self._say = say
        self._node: Any = None
        self._segmentId = ""
        # What tells mask and scan that the listed lesions are those of.
        self._measured: tuple[Any, ...] = ()
        self._measurement: BackgroundCall[ListedLesions] | None = None
        self._lesions = ListedLesions()
        self._filled: tuple[Any, ...] = ()
        self._marks: list[str] = []
        self._problem = ""
        self._filling = False
        table = self._table
        setUpRowTable(
            table, numColumns=_REJECT + 1, widest=_INTENSITY, selectionMode=qt.QAbstractItemView.SingleSelection
        )
        table.itemSelectionChanged.connect(self._onSelectionChanged)
        table.cellClicked.connect(self._onCellClicked)
        table.itemChanged.connect(self._onItemChanged)
        self._button.contentsCollapsed.connect(self._showNote)

    def update(self, segmentationNode: Any, rows: Sequence[ResultRow], selected: Sequence[ResultRow]) -> None:
        """Show the lesions of a tumor, or hide the list where there is none.

        Args:
            segmentationNode: Of the rows; None for none.
            rows: All results.
            selected: Those that are selected: a tumor among them comes first.
        """
        tumors = (row for row in (*selected, *rows) if row.segmentId and row.volumeMl > 0)
        tumor = next((row for row in tumors if hasLesions(segmentationNode, row.segmentId)), None)
        node, segmentId = (segmentationNode, tumor.segmentId) if tumor is not None else (None, "")
        if node is not self._node or segmentId != self._segmentId:
            self._node, self._segmentId = node, segmentId
            self._measured, self._lesions, self._problem = (), ListedLesions(), ""
            self._measurement = None  # of another segment
        self._show()

    def follow(self) -> None:
        """Show what was measured in the background; call this from a timer."""
        if self._measurement is not None and self._measurement.poll() and self._isThere:
            self._show()

    def open(self, segmentId: str) -> None:
        """Open the list if it is that of a segment, which was selected."""
        if segmentId and segmentId == self._segmentId:
            self._button.collapsed = False

    def _show(self) -> None:
        self._measure()
        self._fill()
        self._button.visible = bool(self._lesions.listed or self._problem or self._measurement is not None)

    def _measure(self) -> None:
        """Measure the lesions anew if the mask or the scan has changed; until then, the list is the last one."""
        mask = self._maskAndScan()
        if mask == self._measured or self._measurement is not None:
            return
        try:
            measure = ListedLesions.measurement(self._node, self._segmentId)
        except DSMError as error:
            self._onMeasured(mask, None, error)
        else:
            self._measurement = BackgroundCall(measure, partial(self._onMeasured, mask))
            self._measurement.poll(_QUICK_S)

    def _onMeasured(self, mask: tuple[Any, ...], lesions: ListedLesions | None, error: DSMError | None) -> None:
        self._measurement = None
        self._measured, self._lesions = mask, lesions or ListedLesions()
        self._problem = error.one_line if error is not None else ""

    @property
    def _isThere(self) -> bool:
        return segmentInScene(self._node, self._segmentId) is not None

    def _maskAndScan(self) -> tuple[Any, ...]:
        """Return what tells whether mask or scan are what they were when the lesions were measured."""
        if self._node is None:
            return ()
        scan = volumeOfSegment(self._node, self._segmentId)
        image = scan.GetImageData() if scan is not None else None
        return (
            self._node.GetID(),
            self._segmentId,
            timeOf(self._node),
            maskTime(self._node, self._segmentId),
            *(one.GetMTime() if one is not None else 0 for one in (scan, image)),
            *(_transformTime(one) for one in (self._node, scan)),
        )

    def _fill(self) -> None:
        """Fill the table; the selection follows its lesion, and moves no view."""
        if self._node is None:
            self._filled, self._marks = (), []
            self._table.setRowCount(0)
            return
        table, name = self._table, self._node.GetSegmentation().GetSegment(self._segmentId).GetName()
        lesions = self._lesions.listed
        accepted = {lesionMark(one) for one in acceptedLesions(self._node, self._segmentId, lesions)}
        isCT = modalityOfNode(volumeOfSegment(self._node, self._segmentId)) != "MR"
        wait = reasonToWait(running=self._runs.isRunning)
        if self._measurement is not None:
            wait = wait or _("The lesions are being measured.")
        filled = (self._measured, name, accepted, isCT, wait)
        if filled == self._filled:
            return
        chosen = {self._marks[number] for number in self._selectedRows() if number < len(self._marks)}
        self._filled, self._marks = filled, [lesionMark(lesion) for lesion in lesions]
        self._button.text = self._title(name)
        self._label.text = self._problem or self._note()
        self._showNote()
        titles = [_("No."), _("Diameters (mm)"), _("ml"), _("HU") if isCT else _("Intensity"), _("Accepted"), ""]
        self._filling = True
        table.setHorizontalHeaderLabels(titles)
        table.clearSelection()
        table.setRowCount(len(lesions))
        for number, (lesion, mark) in enumerate(zip(lesions, self._marks, strict=True)):
            self._fillRow(number, lesion, isAccepted=mark in accepted, isCT=isCT, wait=wait)
            if mark in chosen:
                table.selectRow(number)
        self._filling = False

    def _note(self) -> str:
        if self._measurement is not None:
            return _("Measuring...")
        return noteOnSlices(self._node, self._segmentId) if self._lesions.listed else ""

    def _fillRow(self, number: int, lesion: MeasuredLesion, *, isAccepted: bool, isCT: bool, wait: str) -> None:
        texts = {
            _NUMBER: str(number + 1),
            _DIAMETERS: diametersText(lesion),
            _VOLUME: lesionVolumeText(lesion),
            _INTENSITY: intensityText(lesion, isCT=isCT),
            _ACCEPTED: "",
            _REJECT: "",
        }
        tip = _(
            "Slice {number}: longest diameter in an axial slice {long:.1f} mm, the longest one perpendicular to it "
            "{short:.1f} mm. Mean and standard deviation of the intensity."
        ).format(number=lesion.slice_number, long=lesion.longest_mm, short=lesion.perpendicular_mm)
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tip)
            if column == _ACCEPTED:
                item.setToolTip(_("Looked at, and right. The result is reviewed when all lesions are accepted."))
                item.setCheckState(qt.Qt.Checked if isAccepted else qt.Qt.Unchecked)
            elif column != _REJECT:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self._table.setItem(number, column, item)
        button = self._table.cellWidget(number, _REJECT)
        if button is None:  # one a line of the table, which outlives its lesions
            button = qt.QToolButton()
            button.text = _("Reject")
            button.toolTip = _("Remove this lesion from the segment; Undo brings it back.")
            button.clicked.connect(partial(self._onReject, number))
            self._table.setCellWidget(number, _REJECT, button)
        button.accessibleName = _("Reject lesion {number}").format(number=number + 1)
        enableOrExplain(button, not wait, wait)

    def _showNote(self, _collapsed: bool = False) -> None:
        """Show the line above the list if it says something; a folded section shows nothing that is in it."""
        if not self._button.collapsed:
            self._label.visible = bool(self._label.text)

    def _title(self, name: str) -> str:
        if not self._lesions.listed:
            return _("Lesions of {name}").format(name=name)
        count = len(self._lesions.listed)
        if self._lesions.hasMore:
            text = _("The {count} largest lesions of {name}")
        else:
            text = _("{count} lesion of {name}") if count == 1 else _("{count} lesions of {name}")
        return text.format(count=count, name=name)

    def _selectedRows(self) -> list[int]:
        return sorted({index.row() for index in self._table.selectionModel().selectedRows()})

    def _onSelectionChanged(self) -> None:
        if not self._filling:
            for number in self._selectedRows():
                self._jump(number)

    def _onCellClicked(self, number: int, _column: int) -> None:
        """Show a lesion once more, when the views have left it."""
        self._jump(number)

    def _jump(self, number: int) -> None:
        lesions = self._lesions.listed
        if number < len(lesions) and self._node is not None and self._node.GetScene() is not None:
            jumpTo(self._node, lesions[number].view_ras_mm)

    def _onItemChanged(self, item: Any) -> None:
        if self._filling or item.column() != _ACCEPTED or item.row() >= len(self._lesions.listed):
            return
        isAccepted = item.checkState() == qt.Qt.Checked
        lesion = self._current(self._lesions.listed[item.row()])
        if lesion is not None:
            lesions = self._lesions
            others = [one for one in acceptedLesions(self._node, self._segmentId, lesions.listed) if one is not lesion]
            accepted = [*others, lesion] if isAccepted else others
            acceptLesions(self._node, self._segmentId, lesions.largest, accepted)
            if lesions.hasMore and len(accepted) == len(lesions.listed):
                self._say(
                    _(
                        "All listed lesions are accepted; there are smaller ones that are not listed. Mark the result "
                        "as reviewed in the table of results when you have seen them."
                    )
                )
        self._noteEdits()

    def _onReject(self, number: int, _checked: bool = False) -> None:
        listed = self._lesions.listed
        lesion = self._current(listed[number]) if number < len(listed) else None
        if lesion is not None and not self._runs.isRunning:
            node, segmentId = self._node, self._segmentId
            left = [one for one in self._lesions.largest if one is not lesion]
            accepted = acceptedLesions(node, segmentId, self._lesions.largest)
            wasAccepted = lesion in accepted
            accepted = [one for one in accepted if one is not lesion]
            if self._runs.removeLesion(node, segmentId, lesion, wasAccepted=wasAccepted):
                self._noteEdits()  # first: a segment that was edited is reviewed no more
                acceptLesions(node, segmentId, left, accepted)
                self._say(_("Lesion {number} was removed; Undo brings it back.").format(number=number + 1))
        self._noteEdits()

    def _current(self, lesion: MeasuredLesion) -> MeasuredLesion | None:
        """Return a lesion as it is now; None, which is said, if it has changed since it was listed."""
        if self._isThere:
            self._measure()
            if self._measurement is not None:
                self._filled = ()  # the check box comes back
                self._say(_("The lesions are being measured. Try again when the list is new."))
                return None
            mark = lesionMark(lesion)
            found = next((one for one in self._lesions.listed if lesionMark(one) == mark), None)
            if found is not None:
                return found
        self._say(_("The lesion has changed since it was listed: look at it again."))
        return None


def _transformTime(node: Any) -> int:
    """Return a number that changes when a node comes to lie elsewhere; 0 without a transform."""
    parent = node.GetParentTransformNode() if node is not None else None
    return int(parent.GetTransformToWorldMTime()) if parent is not None else 0
