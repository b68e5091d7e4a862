"""Backends for tests of the panel: they know the answers, and stop where a test wants them to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from acting_backend import ActingBackend
from phantoms import mask_of

from dsm.core.boxes import CroppedArray
from dsm.core.name_status import ResultSource
from dsm.core.result import PromptResult
from dsm.text.name_status import name_status
from dsm.wire.messages import Device, Progress, Ready

MASKS = {name: mask_of(seed=seed) for seed, name in enumerate(("liver", "spleen", "left kidney", "right kidney"), 1)}


class PanelBackend(ActingBackend):
    """Answers with masks; what the setup section asks of a worker is answered, too.

    The arguments are those of `ActingBackend`. `report` sends a progress of the current run, `noClicks` is why
    clicks cannot be answered. With the names that it was `trained` on, the results have the status of theirs, and
    unknown names have no mask unless a guess is wanted.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trained: tuple[str, ...] = ()
        self.noClicks = ""
        self.report: Callable[[Progress], None] = lambda _: None
        self.chosen: tuple[str, str, str] = ("", "", "")
        self.requests: list[Any] = []
        self.volumes: list[Any] = []
        self.released = self.closed = 0
        self.log = "worker log"

    @property
    def reasonNoClicks(self) -> str:
        return self.noClicks

    def segment(self, volume: Any, prompts: Any, options: Any, **callbacks: Any) -> None:
        texts = tuple(prompt.canonical_text for prompt in prompts)
        clicks = tuple(prompt.clicks for prompt in prompts)
        self.requests.append(SimpleNamespace(prompts=texts, clicks=clicks, options=options))
        self.volumes.append(volume)
        self.report, deliver = callbacks["onProgress"], callbacks["onResult"]
        callbacks["onResult"] = lambda result: deliver(self._with_status(result, options.guess, volume.modality))
        super().segment(volume, prompts, options, **callbacks)

    def _with_status(self, result: PromptResult, guess: bool, modality: str) -> PromptResult:
        if result.prompt.clicks:
            return replace(result, score=None)
        if not self.trained:
            return result
        status = name_status(result.prompt, self.trained, modality=modality)
        result = replace(result, name_status=status, guess=status.source(guess=guess) is ResultSource.GUESS)
        if result.source is not ResultSource.LEARNED:
            result = replace(result, score=None, warnings=(status.text,))
        nothing = CroppedArray.from_mask(np.zeros(result.shape, np.uint8))
        return replace(result, mask=nothing, found=False) if result.source is ResultSource.NONE else result

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
