"""The next prompt on a clinical CT through the real worker, both processes counted, against the first run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("Testing/slicer_host/panel", "Testing/slicer_host", "Testing/worker", "examples")
sys.path[:0] = [str(_ROOT / folder) for folder in _FOLDERS]

from scene_host import SceneHost, quiet  # noqa: E402  (after the folders are on the path)
from worker_host import cpu_seconds  # noqa: E402

from dsm.bench.phantom import phantom_ct  # noqa: E402
from dsm.core.volume import Volume  # noqa: E402

MOST = 1 / 20  # of the first run, in CPU seconds of host and worker

pytestmark = pytest.mark.bench  # a minute of CPU


def test_next_prompt_costs_at_most_a_twentieth_of_the_first_run() -> None:
    quiet()
    SceneHost()
    from DSMSegmentLib.jobs.backend import WorkerBackend

    volume = phantom_ct((512, 512, 300))
    backend = WorkerBackend("dsm-small", environment={"OMP_NUM_THREADS": "1"})
    try:
        first = _cpu_seconds(backend, lambda: _run(backend, volume, "liver"))
        later = min(_cpu_seconds(backend, lambda: _run(backend, volume, "spleen")) for _ in range(3))
    finally:
        backend.close()
    print(f"first run {first:.2f}, next prompt {later:.2f} CPU-s = {later / first:.3f}")
    assert later <= MOST * first


def _run(backend: Any, volume: Volume, prompt: str) -> None:
    from dsm.client.cancel_token import CancelToken
    from dsm.core.options import SegmentOptions
    from dsm.text.prompt import parse_prompts

    found: list[Any] = []
    backend.segment(
        volume,
        parse_prompts(prompt),
        SegmentOptions(),
        onProgress=lambda _: None,
        onResult=found.append,
        cancel=CancelToken(),
    )
    assert len(found) == 1


def _cpu_seconds(backend: Any, job: Callable[[], None]) -> float:
    before = time.process_time() + _worker_seconds(backend)
    job()
    return time.process_time() + _worker_seconds(backend) - before


def _worker_seconds(backend: Any) -> float:
    return cpu_seconds(backend.workerPid) if backend.workerPid else 0.0
