"""Cancellation of a run from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dsm.errors import JobCancelled


class CancelToken:
    """Cancellation request of one run; never reset, so a late request cannot affect the next run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._action: Callable[[], None] | None = None

    @property
    def requested(self) -> bool:
        """True if the run is to stop."""
        return self._requested

    def check(self) -> None:
        """Raise `JobCancelled` if the run is to stop."""
        if self._requested:
            raise JobCancelled("The job was cancelled.")

    def request(self) -> None:
        """Request the run to stop; callable from any thread, any number of times."""
        with self._lock:
            first = not self._requested
            self._requested = True
            action = self._action
        if first and action is not None:
            action()

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """Call `action` upon a request while the block runs; at once if it was made before."""
        with self._lock:
            self._action = action
            requested = self._requested
        if requested:
            action()
        try:
            yield
        finally:
            with self._lock:
                self._action = None
