"""Reasons why widgets are disabled, in their tool tips."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.application import tr as _


def enableOrExplain(widget: Any, enabled: bool, reason: str) -> None:
    """Enable a widget, or explain in its tool tip why it is disabled."""
    if not widget.whatsThis:
        widget.whatsThis = widget.toolTip
    widget.enabled = enabled
    widget.toolTip = widget.whatsThis if enabled else reason


def reasonToWait(*, running: bool) -> str:
    """Return why what changes the segments of a run has to wait for its end; empty without one."""
    return _("Wait for the end of the run, or cancel it.") if running else ""
