"""Progress messages of a job, limited in rate, with checks for cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable

from dsm.errors import JobCancelled
from dsm.wire.messages import Progress

# A bar that moves 20 times a second is smooth; a layer of a tiny network is called 1000 times a second.
_MIN_INTERVAL_S = 0.05


class JobProgress:
    """The engine's progress callback (`dsm.progress.ProgressCallback`) for one job.

    Args:
        job_id: The job.
        send: Sends a message to the host.
        is_cancelled: Asked at every call, also at those that are not sent.
    """

    def __init__(self, job_id: str, send: Callable[[Progress], None], is_cancelled: Callable[[], bool]) -> None:
        self._job_id = job_id
        self._send = send
        self._is_cancelled = is_cancelled
        self._stage = ""
        self._stage_start_s = 0.0
        self._sent_s = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Send the progress, at a limited rate.

        Raises:
            JobCancelled: If the host asked for it.
        """
        self.check()
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_start_s = stage, now
        elif done < total and now - self._sent_s < _MIN_INTERVAL_S:
            return
        self._sent_s = now
        eta = (now - self._stage_start_s) * (total - done) / done if done > 0 else None
        self._send(Progress(id=self._job_id, stage=stage, done=done, total=total, eta=eta))

    def check(self) -> None:
        """Raise `JobCancelled` if the host has requested it."""
        if self._is_cancelled():
            raise JobCancelled("The job was cancelled.")
