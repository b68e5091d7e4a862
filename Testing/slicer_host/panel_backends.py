"""Backends for tests of the panel: they know the answers, and stop where a test wants them to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from acting_backend import ActingBackend

from dsm.wire.messages import Device, Ready


class PanelBackend(ActingBackend):
    """Answers with masks; what the setup section asks of a worker is answered, too.

    The arguments are those of `ActingBackend`.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.chosen: tuple[str, str, str] = ("", "", "")
        self.requests: list[Any] = []
        self.volumes: list[Any] = []
        self.released = self.closed = 0
        self.log = "worker log"

    def segment(self, volume: Any, prompts: Any, options: Any, **callbacks: Any) -> None:
        texts = tuple(prompt.canonical_text for prompt in prompts)
        self.requests.append(SimpleNamespace(prompts=texts, options=options))
        self.volumes.append(volume)
        super().segment(volume, prompts, options, **callbacks)

    def choose(self, model: str, device: str, precision: str) -> None:
        self.chosen = (model, device, precision)

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
