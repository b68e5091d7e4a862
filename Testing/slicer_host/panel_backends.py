"""Backends for tests of the panel: they know the answers, and stop where a test wants them to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dsm.errors import JobCancelled
from dsm.protocol.messages import Device, Ready
from DSMSegmentLib.cancel_token import CancelToken
from DSMSegmentLib.fake_backend import FakeBackend

_PATIENCE_S = 20.0


class PanelBackend(FakeBackend):
    """Answers with masks; what the setup section asks of a worker is answered, too.

    Args:
        masks: As `FakeBackend`.
        after: Results that it delivers before `act`.
        act: What it does then: wait, die.
    """

    def __init__(
        self, masks: dict[str, np.ndarray], after: int = -1, act: Callable[[CancelToken], None] | None = None
    ) -> None:
        super().__init__(masks)
        self.after, self.act = after, act
        self.chosen: tuple[str, str] = ("", "")
        self.requests: list[Any] = []
        self.released = self.closed = 0
        self.log = "worker log"

    def segment(self, volume: Any, request: Any, *, onProgress: Any, onFinding: Any, cancel: CancelToken) -> None:
        self.requests.append(request)
        for number, text in enumerate(request.prompts):
            if number == self.after and self.act is not None:
                self.act(cancel)
            super().segment(
                volume,
                replace(request, prompts=(text,)),
                onProgress=onProgress,
                onFinding=lambda _, finding, number=number: onFinding(number, finding),
                cancel=cancel,
            )

    def choose(self, model: str, device: str) -> None:
        self.chosen = (model, device)

    def test(self) -> Ready:
        devices = (
            Device(id="cpu", name="Test CPU", free=4 * 2**30, total=8 * 2**30),
            Device(id="cuda", name="NVIDIA GPU", usable=False, reason="No NVIDIA GPU with a driver was found."),
        )
        return Ready(pid=1, worker="0", python="3", torch="2.13.0", devices=devices)

    def release(self) -> None:
        self.released += 1

    def close(self) -> None:
        self.closed += 1


def wait_for_cancel(cancel: CancelToken) -> None:
    """What a backend does that computes for a long time: until it is cancelled."""
    deadline = time.monotonic() + _PATIENCE_S
    while not cancel.requested and time.monotonic() < deadline:
        time.sleep(0.005)
    raise JobCancelled("The job was cancelled.")
