"""Encoding time measured from the progress of a run, on a worker or a server."""

from __future__ import annotations

import time
from collections.abc import Callable

from dsm.wire.messages import Progress


class EncodingWatch:
    """Measurement from each progress as it arrives.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beganS: float | None = None
        self.seconds: float | None = None
        """From the cropping to the end of the encoding; None where nothing was encoded."""

    def note(self, progress: Progress) -> None:
        """Record a progress."""
        if progress.stage == "load" and progress.done == 0:  # of the model, then of the volume
            self._beganS = self._clock()
        # An encoding that was found on disk has one step; a network has many.
        elif progress.stage == "encode" and progress.done == progress.total > 1 and self._beganS is not None:
            self.seconds = self._clock() - self._beganS
