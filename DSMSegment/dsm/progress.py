"""Progress and cancellation through one callback."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called between stages and slabs of a job.

    A caller cancels by raising `dsm.errors.JobCancelled` from the call.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of `stage` are finished.

        Stages: `"load"`, `"measure"`, `"encode"`, `"text"`, `"decode"`, `"write"`; of an installation `"download"`,
        `"check"`, `"write"`.
        """


def ignore_progress(stage: str, done: int, total: int) -> None:
    """Progress callback that does nothing."""
