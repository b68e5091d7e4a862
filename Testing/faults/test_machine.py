"""Faults of the machine: GPU memory exhausted, and jumps of the system clock."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dsm.errors import DSMError
from dsm.wire.arrays import write_array
from dsm.wire.messages import Load, SetVolume
from dsm.worker.error_mapping import error_message
from dsm.worker.session import Session

AFFINE = ((3.0, 0.0, 0.0, 0.0), (0.0, 3.0, 0.0, 0.0), (0.0, 0.0, 3.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def test_gpu_out_of_memory_is_reported_and_the_next_volume_works(tmp_path: Path, dsm_tiny: Path) -> None:
    """A mock engine: there is no GPU here. It raises what torch raises."""
    import torch

    is_memory_exhausted = [True]

    class Engine:
        device = "cuda:0"

        def open(self, *_: Any, **__: Any) -> object:
            return SimpleNamespace(is_encoded=False, encode=self.encode)

        def encode(self, _progress: object) -> None:
            if is_memory_exhausted[0]:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    session = Session(tmp_path, lambda _: None, load_engine=lambda *_, **__: Engine())
    write_array(tmp_path, "a.npy", np.zeros((4, 4, 4), np.int16))
    volume = SetVolume(id="2", key="v", array="a.npy", affine=AFFINE)
    session.run(Load(id="1", model=str(dsm_tiny), device="cuda:0"), lambda: False)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        session.run(volume, lambda: False)
    message = error_message(caught.value, "2")
    assert (message.code, bool(message.hint)) == ("oom_gpu", True)
    is_memory_exhausted[0] = False
    assert session.run(volume, lambda: False).id == "2"


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_jump_of_the_system_clock_expires_no_volume_and_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    pytest.importorskip("fastapi")
    from dsm.server.job import JobSpec
    from dsm.server.limits import Limits
    from dsm.server.scheduler import Scheduler
    from dsm.server.volumes import VolumeStore
    from dsm.text.prompt import parse_prompts

    limits = Limits(volume_idle_s=60, job_idle_s=60)
    store = VolumeStore(tmp_path, limits)
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 4, 4), np.int16))
    data = stream.getvalue()

    async def body() -> AsyncIterator[bytes]:
        yield data

    sha256 = hashlib.sha256(data).digest()
    sent = store.receive("a", body(), num_bytes=len(data), sha256=sha256, affine=AFFINE, modality="CT")
    volume = asyncio.run(sent)
    scheduler = Scheduler([], store, limits)
    job = scheduler.submit("a", JobSpec(volume=volume.id, prompts=tuple(parse_prompts("liver"))))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert store.expire() == []
    scheduler.expire()
    assert scheduler.get("a", job.id) is job
    assert store.get("a", volume.id) is volume


def test_idle_volume_expires(tmp_path: Path) -> None:
    """Counterpart of the test above, which could not fail if nothing ever expired."""
    pytest.importorskip("fastapi")
    from dsm.server.limits import Limits
    from dsm.server.volumes import StoredVolume, VolumeStore

    now = [0.0]
    store = VolumeStore(tmp_path, Limits(volume_idle_s=60), clock=lambda: now[0])
    store._volumes["v"] = StoredVolume("v", "a", tmp_path / "v", 1, (2, 2, 2), AFFINE, "CT", 0.0)
    now[0] = 61.0
    assert store.expire() == ["v"]
    with pytest.raises(DSMError):
        store.get("a", "v")
