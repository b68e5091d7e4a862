"""Button of a group that chooses the tool."""

from __future__ import annotations

from trame.widgets import vuetify3 as v3


def tool_button(tool: str, text: str, icon: str, title: str) -> None:
    """Add a button for a value of the page variable `tool`, inside a `VBtnToggle` bound to it."""
    v3.VBtn(
        text,
        value=tool,
        size="small",
        prepend_icon=icon,
        raw_attrs=[f'title="{title}"', f":aria-pressed=\"tool === '{tool}'\""],
    )
