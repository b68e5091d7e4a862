"""Actions of the page; implemented in `application.py`."""

from __future__ import annotations

from typing import Any, Protocol


class Actions(Protocol):
    """Protocol of the page's actions."""

    def segment(self, prompts: list[str], typed: str) -> None:
        """Run the prompts."""

    def cancel(self) -> None:
        """Stop the run."""

    def undo(self) -> None:
        """Undo the last run or stroke."""

    def select(self, segment_id: str) -> None:
        """Show a segment, and select it for the tools."""

    def recolor(self, segment_id: str, color: str) -> None:
        """Set the colour of a segment, as `#rrggbb`."""

    def toggle(self, segment_id: str) -> None:
        """Show or hide a segment."""

    def toggle_uncertainty(self, segment_id: str) -> None:
        """Show or hide the uncertainty map of a segment."""

    def consent(self, agreed: bool) -> None:
        """Answer whether the scan may be sent to the server."""

    def choose_series(self, series_uid: str) -> None:
        """Open one of the offered series."""

    def cancel_series(self, *_: Any) -> None:
        """Open none of the offered series."""

    def edit(self, name: str) -> None:
        """Apply a filter to the selected segment."""
