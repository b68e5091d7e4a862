"""A user who clicks on structures: buttons of the panel, slice views, and keys."""

from __future__ import annotations

from typing import Any

import mouse
import view_mouse
from panel_driver import PanelDriver
from PySide6.QtTest import QTest

from dsm.core.click import Click


class ClickingUser:
    """Actions of a user who clicks."""

    def __init__(self, panel: PanelDriver, backend: Any) -> None:
        self.panel, self.ui, self.backend = panel, panel.ui, backend

    def button(self, name: str) -> Any:
        """Return the place button of a result."""
        return self.ui.resultsTable.cellWidget(self.panel.names.index(name), self.panel.column("Click"))

    def press(self, name: str) -> None:
        """Press the place button of a result."""
        self.panel.process_events()
        mouse.click(self.button(name))

    def settle(self) -> None:
        """Wait for the answer to all clicks."""
        clicks = self.panel.widget._results._clicks._clickRuns
        self.panel.wait_until(lambda: not clicks._pending and not self.panel.is_running)

    def click(self, world: Any) -> None:
        """Click in a slice view and wait for the answer."""
        assert view_mouse.click(world)
        self.settle()

    def key(self, key: Any) -> None:
        """Press a key while the window is active, but none of its text fields."""
        self.panel.window.activateWindow()
        self.panel.window.setFocus()
        self.panel.process_events()
        QTest.keyClick(self.panel.window, key)

    @property
    def clicks(self) -> list[tuple[Click, ...]]:
        """Clicks of each request."""
        return [request.clicks[0] for request in self.backend.requests]
