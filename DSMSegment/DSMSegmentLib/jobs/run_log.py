"""Log of the module, and a report for support."""

from __future__ import annotations

import platform
import sys
from datetime import datetime

import slicer

from dsm import __version__

_MAX_LINES = 500


class RunLog:
    """The newest log lines, with the time of day."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self._lines)

    def add(self, text: str) -> None:
        """Add a line."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self._lines = [*self._lines, f"{now} {text}"][-_MAX_LINES:]

    def report(self, *, device: str = "", worker: str = "") -> str:
        """Return the log with system information; it contains no image and no patient name.

        Args:
            device: That was used last.
            worker: Log of the worker process.
        """
        application = getattr(slicer, "app", None)
        revision = getattr(application, "revision", "") or "unknown"
        parts = [
            f"DSMSegment {__version__}",
            f"Slicer revision {revision}",
            f"Python {platform.python_version()} on {platform.platform()}",
            f"Device {device or 'unknown'}",
            f"Interpreter {sys.executable}",
            "",
            self.text,
        ]
        if worker:
            parts += ["", "Worker:", worker]
        return "\n".join(parts)
