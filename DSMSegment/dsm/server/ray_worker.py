"""A worker somewhere in a Ray cluster: an actor that holds a worker process with its model warm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import ray

from dsm.errors import DSMError, WorkerError
from dsm.server.job import JobSpec
from dsm.server.own_folder import own_folder
from dsm.server.volumes import StoredVolume
from dsm.server.worker import Event, LocalWorker, WorkerSetup

# An actor that has no place in the cluster waits for one.
_START_S = 120.0
_CLOSE_S = 5.0
# Calls of this group come through while the actor is at work.
_CONTROL = "control"

_Events: TypeAlias = Any  # a Ray generator of references to events


class RayWorker:
    """See `Worker`; voxels and events travel through the cluster, so its nodes need no folder in common.

    Args:
        setup: Model, at the same path on all nodes, and where each node keeps voxels.
        device: `"cpu"`, or `"cuda"` for a GPU of its own.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        actor = ray.remote(max_restarts=0, concurrency_groups={_CONTROL: 2})(_ServerActor)
        needs = actor.options(num_cpus=1, num_gpus=int(device.startswith("cuda")))
        self._actor = needs.remote(setup, device)
        self._alive = True

    @property
    def alive(self) -> bool:
        """True until the actor is found dead."""
        return self._alive

    def load(self) -> None:
        """Wait for the actor to have a place, and load the model."""
        self._get(self._actor.load.remote(), timeout=_START_S)

    def take(self, job_id: str, volume: StoredVolume, *, encode: bool) -> Iterator[Event]:
        """See `Worker.take`."""
        return self._events(self._actor.take.remote(job_id, volume, np.fromfile(volume.path, np.uint8), encode))

    def segment(self, job_id: str, spec: JobSpec) -> Iterator[Event]:
        """See `Worker.segment`."""
        return self._events(self._actor.segment.remote(job_id, spec))

    def cancel(self, job_id: str) -> None:
        """See `Worker.cancel`."""
        self._actor.cancel.options(concurrency_group=_CONTROL).remote(job_id)

    def close(self) -> None:
        """End the actor, politely if it answers."""
        if self._alive:
            self._alive = False
            with suppress(ray.exceptions.RayError):  # dead, or as good as
                ray.get(self._actor.close.options(concurrency_group=_CONTROL).remote(), timeout=_CLOSE_S)
        ray.kill(self._actor)

    def _events(self, references: _Events) -> Iterator[Event]:
        for reference in references:
            yield self._get(reference)

    def _get(self, reference: Any, timeout: float | None = None) -> Any:
        try:
            return ray.get(reference, timeout=timeout)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DSMError):
                self._alive = self._alive and error.cause.code != "worker.died"
                raise error.cause from None
            raise
        except ray.exceptions.GetTimeoutError as error:
            self._alive = False
            raise WorkerError(
                f"The cluster had no place for a worker within {_START_S:.0f} s.",
                code="worker.timeout",
                hint="See which CPUs and GPUs the cluster has free, with: ray status.",
            ) from error
        except ray.exceptions.RayError as error:
            self._alive = False
            raise WorkerError(f"A worker of the cluster died ({type(error).__name__}).", code="worker.died") from error


class _ServerActor:
    """Runs on the node of the worker."""

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(own_folder(setup.folder))
        # Ray shows an actor its own GPU alone, and calls it the first.
        own = "cuda" if device.startswith("cuda") else device
        self._worker = LocalWorker(replace(setup, folder=self._folder), own)
        self._stack.callback(self._worker.close)

    def load(self) -> None:
        self._worker.load()

    def take(self, job_id: str, volume: StoredVolume, voxels: np.ndarray, encode: bool) -> Iterator[Event]:
        path = self._folder / volume.path.name
        try:
            voxels.tofile(path)
            yield from self._worker.take(job_id, replace(volume, path=path), encode=encode)
        finally:
            path.unlink(missing_ok=True)

    def segment(self, job_id: str, spec: JobSpec) -> Iterator[Event]:
        yield from self._worker.segment(job_id, spec)

    def cancel(self, job_id: str) -> None:
        self._worker.cancel(job_id)

    def close(self) -> None:
        self._stack.close()
