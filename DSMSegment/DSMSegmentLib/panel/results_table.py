"""Results table: structure, volume, score, and the most frequent actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.panel.result_rows import ResultRow
from DSMSegmentLib.scene.outcome import OutcomeStatus

_SHOWN, _NAME, _STATUS, _VOLUME, _SCORE, _SECONDS, _REVIEWED = range(7)


class ResultsTable:
    """Table of results in a `QTableWidget`.

    Args:
        table: Its columns are set here.
        onSelected: Called with the segment id of the current row, empty for none.
        onVisible: Called with a segment id and whether the user wants it shown.
        onReviewed: Called with a segment id and whether the user has reviewed it.
    """

    def __init__(
        self,
        table: Any,
        onSelected: Callable[[str], None],
        onVisible: Callable[[str, bool], None],
        onReviewed: Callable[[str, bool], None],
    ) -> None:
        self._table = table
        self._onSelected, self._onVisible, self._onReviewed = onSelected, onVisible, onReviewed
        self._rows: list[ResultRow] = []
        self._filling = False
        titles = [_("Show"), _("Structure"), _("Result"), _("ml"), _("Score"), _("s"), _("Reviewed")]
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        tips = {
            _STATUS: _("Check: this result has warnings; hover over it to read them."),
            _VOLUME: _("Volume of the segment."),
            _SCORE: _("Confidence of the network, 0 to 1: for ranking, not a calibrated probability."),
            _SECONDS: _("Time for the prompt, after the volume was encoded."),
            _REVIEWED: _("Reviewed by you; Slicer's segment tables show it as completed."),
        }
        for column, tip in tips.items():
            table.horizontalHeaderItem(column).setToolTip(tip)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.ExtendedSelection)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.verticalHeader().hide()
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        table.itemSelectionChanged.connect(self._onSelectionChanged)
        table.itemChanged.connect(self._onItemChanged)

    @property
    def rows(self) -> tuple[ResultRow, ...]:
        """Rows of the table."""
        return tuple(self._rows)

    @property
    def selected(self) -> list[ResultRow]:
        """Selected rows, from top to bottom."""
        numbers = sorted({index.row() for index in self._table.selectionModel().selectedRows()})
        return [self._rows[number] for number in numbers if number < len(self._rows)]

    def setRows(self, rows: Sequence[ResultRow]) -> None:
        """Replace the rows; the selection follows its segments."""
        if list(rows) == self._rows:
            return
        chosen = {row.segmentId or row.name for row in self.selected}
        self._filling = True
        self._rows = list(rows)
        self._table.clearSelection()
        self._table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            self._fill(number, row)
        for number, row in enumerate(rows):
            if (row.segmentId or row.name) in chosen:
                for column in range(self._table.columnCount):
                    self._table.item(number, column).setSelected(True)
        self._filling = False

    def select(self, segmentId: str) -> None:
        """Select the row of a segment."""
        for number, row in enumerate(self._rows):
            if row.segmentId == segmentId:
                self._table.selectRow(number)

    def _fill(self, number: int, row: ResultRow) -> None:
        there = bool(row.segmentId)
        texts = {
            _SHOWN: "",
            _NAME: _("{name} (on {volume})").format(name=row.name, volume=row.otherVolume)
            if row.otherVolume
            else row.name,
            _STATUS: _statusText(row),
            _VOLUME: _volumeText(row.volumeMl) if there else "",
            _SCORE: f"{row.score:.2f}" if row.status is not OutcomeStatus.SKIPPED else "",
            _SECONDS: f"{row.seconds:.1f}" if row.seconds else "",
            _REVIEWED: "",
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(row.note or row.prompt.text)
            if column in (_VOLUME, _SCORE, _SECONDS):
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            if column in (_SHOWN, _REVIEWED) and there:
                checked = row.visible if column == _SHOWN else row.reviewed
                item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
            self._table.setItem(number, column, item)

    def _onSelectionChanged(self) -> None:
        if not self._filling:
            selected = self.selected
            self._onSelected(selected[0].segmentId if selected else "")

    def _onItemChanged(self, item: Any) -> None:
        if self._filling or item.row() >= len(self._rows):
            return
        segmentId = self._rows[item.row()].segmentId
        checked = item.checkState() == qt.Qt.Checked
        if segmentId and item.column() == _SHOWN:
            self._onVisible(segmentId, checked)
        elif segmentId and item.column() == _REVIEWED:
            self._onReviewed(segmentId, checked)


def _volumeText(milliliters: float) -> str:
    """A lesion of a few voxels is not nothing."""
    return f"{milliliters:.2f}" if 0 < milliliters < 1 else f"{milliliters:.1f}"


def _statusText(row: ResultRow) -> str:
    if row.edited:
        return _("edited")
    if row.status is OutcomeStatus.WRITTEN and row.note:
        return _("found, check")
    return {
        OutcomeStatus.WRITTEN: _("found"),
        OutcomeStatus.NOT_FOUND: _("not found"),
        OutcomeStatus.SKIPPED: _("skipped"),
    }[row.status]
