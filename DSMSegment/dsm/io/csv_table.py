"""CSV tables that people open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsm.io.atomic import atomic_output


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table as UTF-8 with a byte order mark, which spreadsheets need.

    Args:
        path: The file; it is replaced only when the new one is whole.
        columns: Their names, in order.
        rows: Cells by column; one that is missing is empty.

    Raises:
        OutputError: If it cannot be written.
    """
    with atomic_output(path) as part, part.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({column: harmless(value) for column, value in row.items()} for row in rows)


def harmless(value: Any) -> Any:
    """Escape text that a spreadsheet would run as a formula; other values stay.

    Example:
        >>> harmless("=1+1"), harmless("liver"), harmless(-3.5)
        ("'=1+1", 'liver', -3.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
