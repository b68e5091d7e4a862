"""Set-up of a table whose rows are selected as a whole and whose cells are not edited."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.application import qt


def setUpRowTable(table: Any, *, numColumns: int, widest: int, selectionMode: Any) -> None:
    """Set the columns of a `QTableWidget` and how its rows are selected.

    Args:
        table: Without rows.
        numColumns: Number of columns, each as wide as its contents.
        widest: Number of the column that takes the rest of the width.
        selectionMode: Whether several rows can be selected, of `QAbstractItemView`.
    """
    table.setColumnCount(numColumns)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(selectionMode)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.verticalHeader().hide()
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().setSectionResizeMode(widest, qt.QHeaderView.Stretch)
