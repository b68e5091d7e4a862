"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

from typing import Any


def harmless(value: Any) -> Any:
    """Escape text that a spreadsheet would run as a formula; other values stay.

    Example:
        >>> harmless("=1+1"), harmless("liver"), harmless(-3.5)
        ("'=1+1", 'liver', -3.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
