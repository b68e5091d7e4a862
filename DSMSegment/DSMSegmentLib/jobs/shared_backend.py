"""Worker shared by scripts: a loop that makes a logic for each volume keeps one worker warm."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache

from dsm.client.cancel_token import CancelToken
from dsm.client.session import OnProgress, OnResult
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.volume import Volume
from DSMSegmentLib.jobs.backend import WorkerBackend

_LOOK_S = 0.05


@cache
def sharedBackend() -> SharedBackend:
    """Return the one of this process; its worker starts with the first run."""
    return SharedBackend(device="auto")


class SharedBackend(WorkerBackend):
    """Backend of several logics, which lets one run after the other: events of a worker do not name their run.

    The arguments are those of `WorkerBackend`.
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, device: str = "cpu") -> None:
        super().__init__(model, device=device)
        self._turn = threading.Lock()

    def segment(
        self,
        volume: Volume,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        onProgress: OnProgress,
        onResult: OnResult,
        cancel: CancelToken,
    ) -> None:
        """See `Backend.segment`; waits until the run of another logic is over."""
        while not self._turn.acquire(timeout=_LOOK_S):
            cancel.check()
        try:
            super().segment(volume, prompts, options, onProgress=onProgress, onResult=onResult, cancel=cancel)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the worker, unless a run is going on, which may be that of another logic."""
        if self._turn.acquire(blocking=False):
            try:
                super().close()
            finally:
                self._turn.release()
