"""A fake that does something else after a number of results: waits for a cancel, dies, or has a defect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from clicked_masks import volume_mask
from patience import PATIENCE_S

from dsm.client.cancel_token import CancelToken
from dsm.errors import JobCancelled
from DSMSegmentLib.jobs.fake_backend import FakeBackend


class ActingBackend(FakeBackend):
    """Serves one prompt after another; one with clicks gets what `clicked_masks` says, whatever its name.

    Args:
        masks: As `FakeBackend`.
        after: Results that it delivers before `act`.
        act: What it does then.
    """

    def __init__(
        self, masks: dict[str, np.ndarray], after: int = -1, act: Callable[[CancelToken], None] | None = None
    ) -> None:
        super().__init__(masks)
        self.after, self.act = after, act
        self.delivered = threading.Event()

    def segment(
        self, volume: Any, prompts: Any, options: Any, *, onProgress: Any, onResult: Any, cancel: CancelToken
    ) -> None:
        for number, prompt in enumerate(prompts):
            if number == self.after and self.act is not None:
                self.delivered.set()
                self.act(cancel)
            source = self
            if prompt.clicks:
                named = self.masks.get(prompt.canonical_text) if prompt.kind == "organ" else None
                source = FakeBackend({prompt.canonical_text: volume_mask(volume, prompt.clicks, named)})
            FakeBackend.segment(
                source,
                volume,
                [prompt],
                options,
                onProgress=onProgress,
                onResult=onResult,
                cancel=cancel,
            )


def wait_for_cancel(cancel: CancelToken) -> None:
    """Actions of a backend that computes until it is cancelled."""
    deadline = time.monotonic() + PATIENCE_S
    while not cancel.requested and time.monotonic() < deadline:
        time.sleep(0.005)
    raise JobCancelled("The job was cancelled.")
