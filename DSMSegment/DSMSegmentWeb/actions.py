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
        """Undo the last run or edit."""

    def redo(self) -> None:
        """Do again what was undone last."""

    def select(self, segment_id: str) -> None:
        """Show a segment, and select it for the tools."""

    def recolor(self, segment_id: str, color: str) -> None:
        """Set the colour of a segment, as `#rrggbb`."""

    def rename(self, segment_id: str, name: str) -> None:
        """Rename a segment."""

    def duplicate(self, segment_id: str) -> None:
        """Add a copy of a segment."""

    def delete(self, segment_id: str) -> None:
        """Delete a segment."""

    def show_only(self, segment_id: str) -> None:
        """Hide all other segments, or show them again."""

    def toggle_reviewed(self, segment_id: str) -> None:
        """Mark a segment as reviewed, or as not reviewed."""

    def jump_to_lesion(self, lesion_id: str) -> None:
        """Show a lesion of the selected segment in all views."""

    def accept_lesion(self, lesion_id: str) -> None:
        """Mark a lesion as accepted, or as not accepted."""

    def reject_lesion(self, lesion_id: str) -> None:
        """Remove a lesion from the selected segment."""

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

    def click_on(self, segment_id: str) -> None:
        """Start the click tool on a segment."""

    def click_new(self, prompts: list[str], typed: str) -> None:
        """Start the click tool on a new segment, named by one prompt."""

    def draw_new(self, name: str) -> None:
        """Add an empty segment, and start the brush on it."""

    def take_click_back(self) -> None:
        """Take the last click back."""

    def auto_window(self) -> None:
        """Set window and level by the values of the scan."""

    def edit(self, name: str) -> None:
        """Apply a filter to the selected segment."""
