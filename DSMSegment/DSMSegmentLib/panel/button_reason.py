"""Widgets that say in their tool tip why they are disabled."""

from __future__ import annotations

from typing import Any


def enableOrExplain(widget: Any, enabled: bool, reason: str) -> None:
    """Enable a widget, or explain in its tool tip why it is disabled."""
    if not widget.whatsThis:
        widget.whatsThis = widget.toolTip
    widget.enabled = enabled
    widget.toolTip = widget.whatsThis if enabled else reason
