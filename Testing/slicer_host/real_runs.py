"""Volumes for runs of the real network, and waiting for such runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from patience import PATIENCE_S
from phantoms import affine_of, obliqueness

from dsm.client.process import WorkerClient
from DSMSegmentLib import SegmentationJob

SMALL = (40, 44, 30)
# Takes seconds to encode: there is time to interrupt it.
LARGE = (150, 150, 110)


def body_node(shape: tuple[int, int, int] = SMALL, name: str = "Body") -> Any:
    """An ellipsoid of soft tissue with a denser one off its centre, on an oblique, mirrored, uneven grid."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    dense = np.sqrt((axes[0] - 0.3) ** 2 + (axes[1] + 0.2) ** 2 + axes[2] ** 2)
    voxels = np.where(radius < 0.9, 40, -1000) + np.where(dense < 0.3, 80, 0)
    affine = affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0]), (3.0, 2.5, 4.0))
    return slicer.util.addVolumeFromArray(
        np.ascontiguousarray(voxels.astype(np.int16).transpose(2, 1, 0)), affine, name
    )


def node_ids() -> set[str]:
    """Return the ids of all nodes in the scene."""
    return {slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())}


def poll_until(job: SegmentationJob, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Poll a job, as a host without a window does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still {job.state} at {job.progress}"
        job.poll()


def process_until(panel: Any, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Let the panel process its events."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, panel.ui.statusLabel.text
        panel.process_events()
        time.sleep(0.005)


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted_clients(monkeypatch: pytest.MonkeyPatch) -> list[WorkerClient]:
    """Return a list that gets each client that a worker backend starts from now on."""
    started: list[WorkerClient] = []

    class CountedClient(WorkerClient):
        def __init__(self, **options: Any) -> None:
            started.append(self)
            super().__init__(**options)

    monkeypatch.setattr("DSMSegmentLib.jobs.backend.WorkerClient", CountedClient)
    return started
