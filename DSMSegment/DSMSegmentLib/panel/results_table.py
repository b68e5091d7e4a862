"""Results table: visibility, structure with its color, volume, score, and the most frequent actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dsm.core.display_colors import RGB
from dsm.core.name_status import ResultLabel
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.panel.label_text import labelText
from DSMSegmentLib.panel.result_rows import ResultRow
from DSMSegmentLib.panel.row_table import setUpRowTable
from DSMSegmentLib.scene.outcome import OutcomeStatus

_SWATCH_PX = 14
_ICONS = Path(__file__).resolve().parents[2] / "Resources" / "Icons"
_SHOWN, _NAME, _STATUS, _VOLUME, _SCORE, _REVIEWED, _CLICK = range(7)


@dataclass(frozen=True, slots=True)
class ClickButton:
    """Appearance of the button of a row that starts and ends placing clicks.

    Args:
        text: On the button.
        checked: Whether clicks are being placed.
        enabled: Whether it can be used.
        toolTip: What it does, or why it cannot be used.
    """

    text: str
    checked: bool
    enabled: bool
    toolTip: str


class ResultsTable:
    """Table of results in a `QTableWidget`.

    Args:
        table: Its columns are set here.
        onSelected: Called with the segment id of the current row, empty for none.
        onVisible: Called with a segment id and whether the user wants it visible.
        onReviewed: Called with a segment id and whether the user has reviewed it.
        onClick: Called with the row whose place button was pressed.
    """

    def __init__(
        self,
        table: Any,
        onSelected: Callable[[str], None],
        onVisible: Callable[[str, bool], None],
        onReviewed: Callable[[str, bool], None],
        onClick: Callable[[ResultRow], None],
    ) -> None:
        self._table = table
        self._onSelected, self._onVisible, self._onReviewed = onSelected, onVisible, onReviewed
        self._onClick = onClick
        self._rows: list[ResultRow] = []
        self._filling = False
        self._clickable = True
        titles = [_("Show"), _("Structure"), _("Result"), _("ml"), _("Score"), _("Reviewed"), _("Click")]
        setUpRowTable(table, numColumns=len(titles), widest=_NAME, selectionMode=qt.QAbstractItemView.ExtendedSelection)
        table.setHorizontalHeaderLabels(titles)
        tips = {
            _SHOWN: _("Visibility in the views."),
            _STATUS: _(
                "Check: hover over the result to read why. A guess is at a name that the model has not learned."
            ),
            _VOLUME: _("Volume of the segment."),
            _SCORE: _("Probability that the mask is right, 0 to 1; – where there is none to give."),
            _REVIEWED: _("Reviewed by you; Slicer's segment tables show it as completed."),
            _CLICK: _("Click on the structure in a slice view where its name finds nothing or the wrong thing."),
        }
        for column, tip in tips.items():
            table.horizontalHeaderItem(column).setToolTip(tip)
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

    def setRows(self, rows: Sequence[ResultRow], *, clickable: bool) -> None:
        """Replace the rows; the selection follows its segments.

        Args:
            rows: One a result.
            clickable: Whether the model takes clicks: then they are suggested where nothing was found.
        """
        if list(rows) == self._rows and clickable == self._clickable:
            return
        self._clickable = clickable
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

    def showClickButtons(self, buttons: Sequence[ClickButton]) -> None:
        """Show the state of the place buttons, one a row."""
        for number, (row, state) in enumerate(zip(self._rows, buttons, strict=True)):
            button = self._table.cellWidget(number, _CLICK)
            button.text, button.checked, button.enabled = state.text, state.checked, state.enabled
            button.toolTip = state.toolTip
            button.accessibleName = f"{state.text}: {row.name}"

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
            _STATUS: _statusText(row, clickable=self._clickable),
            _VOLUME: _volumeText(row.volumeMl) if there else "",
            _SCORE: "–" if row.score is None else f"{row.score:.2f}",
            _REVIEWED: "",
            _CLICK: "",
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(_rowText(row))
            if column in (_VOLUME, _SCORE):
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            if column == _NAME and row.color is not None:
                item.setIcon(_swatch(row.color))
            if column == _REVIEWED and there:
                item.setCheckState(qt.Qt.Checked if row.reviewed else qt.Qt.Unchecked)
            self._table.setItem(number, column, item)
        if self._table.cellWidget(number, _CLICK) is None:  # one a line of the table, which outlives its results
            for column, slot in ((_SHOWN, self._onEye), (_CLICK, self._onClickButton)):
                button = qt.QToolButton()
                button.setCheckable(column == _CLICK)
                button.setAutoRaise(column == _SHOWN)
                button.clicked.connect(partial(slot, number))
                self._table.setCellWidget(number, column, button)
        self._showEye(self._table.cellWidget(number, _SHOWN), row)

    def _showEye(self, eye: Any, row: ResultRow) -> None:
        tip = _("Hide {name} in the views.") if row.visible else _("Show {name} in the views.")
        eye.enabled = bool(row.segmentId)
        eye.toolTip = tip.format(name=row.name) if row.segmentId else _("There is no segment.")
        eye.accessibleName = eye.toolTip
        icon = "Visible.png" if row.visible else "Hidden.png"
        eye.setIcon(qt.QIcon(str(_ICONS / icon)) if row.segmentId else qt.QIcon())

    def _onEye(self, number: int, _checked: bool = False) -> None:
        if number < len(self._rows) and self._rows[number].segmentId:
            self._onVisible(self._rows[number].segmentId, not self._rows[number].visible)

    def _onClickButton(self, number: int, _checked: bool = False) -> None:
        if number < len(self._rows):
            self._onClick(self._rows[number])

    def _onSelectionChanged(self) -> None:
        if not self._filling:
            selected = self.selected
            self._onSelected(selected[0].segmentId if selected else "")

    def _onItemChanged(self, item: Any) -> None:
        if self._filling or item.row() >= len(self._rows):
            return
        segmentId = self._rows[item.row()].segmentId
        if segmentId and item.column() == _REVIEWED:
            self._onReviewed(segmentId, item.checkState() == qt.Qt.Checked)


def _swatch(color: RGB) -> Any:
    """Return an icon of one color, in selected rows too, where Qt would tint it."""
    pixmap = qt.QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixmap.fill(qt.QColor(*color))
    icon = qt.QIcon()
    for mode in (qt.QIcon.Normal, qt.QIcon.Selected):
        icon.addPixmap(pixmap, mode)
    return icon


def _volumeText(milliliters: float) -> str:
    """Format a volume in ml, below 1 ml with two decimals for small lesions."""
    return f"{milliliters:.2f}" if 0 < milliliters < 1 else f"{milliliters:.1f}"


def _rowText(row: ResultRow) -> str:
    """Return what hovering over a row says."""
    text = row.note or row.prompt.text
    if not row.seconds:
        return text
    return text + "\n" + _("The prompt took {seconds:.1f} s, encoding not included.").format(seconds=row.seconds)


def _statusText(row: ResultRow, *, clickable: bool) -> str:
    if row.edited:
        return _("edited")
    if row.status is OutcomeStatus.SKIPPED:
        return _("skipped")
    if clickable and row.label is ResultLabel.NOT_KNOWN:
        return _("not known: click on it")
    return _("click on it") if clickable and row.isToBeClicked else labelText(row.label)
