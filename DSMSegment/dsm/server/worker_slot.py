"""Worker slot of the server, with its thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from dsm.core.error_codes import error_code
from dsm.errors import DSMError, JobCancelled
from dsm.server.job import Job, error_event
from dsm.server.volumes import VolumeStore
from dsm.server.worker import Event, Worker
from dsm.wire.messages import KEPT_VOLUMES

logger = logging.getLogger(__name__)

# Delay before another attempt to start a worker, while others run the jobs.
_PAUSE_S = 15.0


class Queue(Protocol):
    """Job queue of a worker slot."""

    @property
    def closing(self) -> bool:
        """True while the server shuts down."""

    def take(self, volumes: Sequence[str], since: float) -> Job | None:
        """Wait for the next job for a worker that has `volumes`, the last encoded then; None at the end."""

    def put_back(self, job: Job) -> bool:
        """Requeue a job after its worker died; returns False when it has no attempts left."""

    def note_encoding(self, seconds: float) -> None:
        """Record the time of an encoding in s."""

    def pause(self, seconds: float) -> bool:
        """Wait while other workers run jobs; returns False at once if there are none, and at shutdown."""


class WorkerSlot:
    """A worker and its thread; the worker is replaced when it dies.

    Args:
        start: Starts a worker.
        volumes: Volumes of the jobs.
        queue: Queue of jobs.
    """

    def __init__(self, start: Callable[[], Worker], volumes: VolumeStore, queue: Queue) -> None:
        self.worker: Worker | None = None
        self.ready = False
        # Ids of what the worker has; least recently used first, as the worker's own cache.
        self.volumes: list[str] = []
        self._encoded_at = 0.0
        self._start = start
        self._volumes = volumes
        self._queue = queue
        self._lock = threading.Lock()
        self._job: Job | None = None
        self.thread = threading.Thread(target=self._run, name="dsm-worker-slot", daemon=True)

    def close(self) -> None:
        """End the worker, even during a job."""
        with self._lock:
            worker = self.worker
        if worker is not None:
            worker.close()
        if self.thread.is_alive():
            self.thread.join(10)

    def cancel(self, job: Job) -> None:
        """Stop the job if it runs here."""
        with self._lock:
            if self._job is job and self.worker is not None:
                self.worker.cancel(job.id)

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            with self._lock:
                self._job = job
            try:
                self._serve(job)
            except JobCancelled:
                job.emit(error_event("cancelled", "The job was cancelled."), state="cancelled")
            except DSMError as error:
                self._fail(job, error)
            except Exception as error:  # one job, not the server
                logger.exception("Job %s failed unexpectedly.", job.id)
                job.emit(
                    error_event("internal", f"An unexpected error occurred ({type(error).__name__})."), state="failed"
                )
            finally:
                with self._lock:
                    self._job = None
        self._drop_worker()

    def _next_job(self) -> Job | None:
        """Take a job with a ready worker; without one, only if no other slot has one either."""
        while not self._queue.closing and not self._is_ready() and self._queue.pause(_PAUSE_S):
            pass
        return self._queue.take(self.volumes, self._encoded_at)

    def _is_ready(self) -> bool:
        try:
            self._ready_worker()
        except DSMError as error:  # said again with the first job
            logger.error("A worker does not start: %s", error.one_line)
            return False
        return True

    def _fail(self, job: Job, error: DSMError) -> None:
        logger.warning("Job %s: %s", job.id, error.code)
        self._forget(job.spec.volume)
        if error_code(error.code).requeued and self._queue.put_back(job):
            job.emit({"type": "progress", "stage": "waiting", "done": 0, "total": 1, "note": "A worker was replaced."})
            return
        # No details: a traceback or a log has no business on another machine.
        job.emit(error_event(error.code, str(error), error.hint), state="failed")

    def _ready_worker(self) -> Worker:
        if self.worker is not None and not (self.worker.alive and self.ready):
            self._drop_worker()
        if self.worker is None:
            worker = self._start()
            with self._lock:
                self.worker = worker
            worker.load()
            self.ready = True
        return self.worker

    def _drop_worker(self) -> None:
        with self._lock:
            worker, self.worker = self.worker, None
            self.ready, self.volumes = False, []
        if worker is not None:
            worker.close()

    def _serve(self, job: Job) -> None:
        began = time.monotonic()
        worker = self._ready_worker()
        if job.cancel_wanted:  # while there was no worker that could be told
            raise JobCancelled("The job was cancelled.")
        spec = job.spec
        with self._volumes.pinned(spec.volume) as volume:
            is_known = self._forget(spec.volume)
            if not is_known or not spec.prompts:
                self.volumes = self.volumes[-(KEPT_VOLUMES - 1) :]
                self._emit(job, worker.take(job.id, volume, encode=not spec.prompts), began)
            self.volumes.append(spec.volume)
        if spec.prompts:
            self._emit(job, worker.segment(job.id, spec), began)
        job.emit({"type": "done", "seconds": round(time.monotonic() - began, 3)}, state="done")

    def _forget(self, volume: str) -> bool:
        """Remove a volume from those that the worker has; returns whether it was one of them."""
        is_known = volume in self.volumes
        if is_known:
            self.volumes.remove(volume)
        return is_known

    def _emit(self, job: Job, events: Iterable[Event], began: float) -> None:
        """Send the events of a job, and record how long its first encoding took since it began."""
        is_encoded = False
        for event in events:
            job.emit(event)
            if event.get("stage") == "encode" and event["done"] == event["total"] and not is_encoded:
                is_encoded = True
                self._encoded_at = time.monotonic()
                self._queue.note_encoding(self._encoded_at - began)
