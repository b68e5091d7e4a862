"""Simulated key events for self-tests: setting the text of a field does not show the effect of typing."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.application import qt


def typeText(widget: Any, text: str) -> None:
    """Press and release the keys of a text in a widget, one after another."""
    for character in text:
        key = qt.Qt.Key_Return if character == "\n" else 0  # with a text, the code of the key does not matter
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(widget, qt.QKeyEvent(kind, key, qt.Qt.NoModifier, character))
