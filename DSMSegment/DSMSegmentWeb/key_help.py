"""Overlay with the keys and the mouse of the page."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

_KEYS = {
    "Mouse wheel": "scroll through the slices",
    "Arrow keys": "next slice (up, right) or previous one, in the view under the mouse",
    "Double-click": "one view alone, or all again",
    "Drag": "window (right and left) and level (up and down)",
    "Right drag": "zoom",
    "Middle drag, Shift+drag": "move the slice",
    "Ctrl+Enter": "segment what is typed",
    "Ctrl+Z": "undo",
    "Ctrl+Y, Ctrl+Shift+Z": "redo",
    "[ ]": "narrower, wider brush",
    "Click tool: click, Ctrl+click": "inside, outside",
    "Click tool: drag": "several points",
    "Click tool: Backspace": "take the last click back",
    "Esc": "cancel the run, or leave the tool",
    "?": "this list",
}


def key_help() -> None:
    """Add the overlay; `?` shows it."""
    with v3.VDialog(v_model=("shows_keys",), width=460, raw_attrs=['aria-labelledby="dsm-keys"']):
        with v3.VCard(classes="dsm-dialog"):
            html.H2("Mouse and keys", id="dsm-keys")
            with html.Dl(classes="dsm-keys"):
                for key, text in _KEYS.items():
                    html.Dt(key)
                    html.Dd(text)
            v3.VBtn("Close", variant="tonal", click="shows_keys = false")
