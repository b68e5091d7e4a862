"""What the buttons of the page do; `application.py` does it."""

from __future__ import annotations

from typing import Any, Protocol


class Actions(Protocol):
    """What the buttons of the page do."""

    def segment(self, prompts: list[str], typed: str) -> None:
        """Run the prompts."""

    def cancel(self) -> None:
        """Stop the run."""

    def undo(self) -> None:
        """Take back the last run or stroke."""

    def select(self, segment_id: str) -> None:
        """Show a segment, and let the tools work on it."""

    def recolor(self, segment_id: str, color: str) -> None:
        """Give a segment a colour, as `#rrggbb`."""

    def toggle(self, segment_id: str) -> None:
        """Show or hide a segment."""

    def toggle_uncertainty(self, segment_id: str) -> None:
        """Show where the network was undecided about a segment, or hide that."""

    def consent(self, agreed: bool) -> None:
        """Say whether the scan may be sent to the server that the page asks about."""

    def choose_series(self, series_uid: str) -> None:
        """Open one of the series that the page asks about."""

    def cancel_series(self, *_: Any) -> None:
        """Open none of them."""

    def edit(self, name: str) -> None:
        """Apply a filter to the segment that is selected."""
