"""Scheduling of jobs on workers, preferring the worker that has the volume."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsm.errors import JobCancelled, ServerError
from dsm.server.http_errors import not_found
from dsm.server.job import Job, JobSpec, error_event
from dsm.server.limits import Limits
from dsm.server.volumes import VolumeStore
from dsm.server.worker import Worker
from dsm.server.worker_slot import WorkerSlot

_MAX_ATTEMPTS = 2
# Jobs on encoded volumes go first for so many times what the encoding took, then the oldest: at most a third of the
# time is spent on repeated encoding, and no job starves.
_AFFINITY_WINDOW = 2.0
_MIN_AFFINITY_S = 1.0


class Scheduler:
    """Queue of the users' jobs, within their limits; thread-safe.

    Args:
        starts: Functions that start a worker each, and restart it after its death.
        volumes: Volumes of the jobs.
        limits: For each user.
        clock: Monotonic clock in s.
    """

    def __init__(
        self,
        starts: Sequence[Callable[[], Worker]],
        volumes: VolumeStore,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._volumes = volumes
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        self._closing = False
        self._encoding_s = 0.0
        self._slots = [WorkerSlot(start, volumes, self) for start in starts]

    def start(self) -> None:
        """Start the workers; they load the model at once."""
        for slot in self._slots:
            slot.thread.start()

    def close(self) -> None:
        """End all workers; jobs that were not finished fail with the code `closing`."""
        with self._changed:
            self._closing = True
            waiting, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
        for job in waiting:
            job.emit(error_event("closing", "The server is shutting down."), state="failed")
        for slot in self._slots:
            slot.close()
        for job in list(self._jobs.values()):
            job.emit(error_event("closing", "The server is shutting down."), state="failed")

    @property
    def closing(self) -> bool:
        """True while the server shuts down."""
        return self._closing

    @property
    def num_alive(self) -> int:
        """Number of workers with a loaded model."""
        return sum(slot.ready for slot in self._slots)

    @property
    def num_waiting(self) -> int:
        """Number of queued jobs."""
        return len(self._waiting)

    def submit(self, user: str, spec: JobSpec) -> Job:
        """Queue a job; it ends with a response, even if a worker dies.

        Raises:
            ServerError: If there is no such volume, the user has too many jobs, or too many wait.
        """
        self._volumes.get(user, spec.volume)
        with self._changed:
            job = self._added(user, spec)
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def add(self, user: str, spec: JobSpec) -> Job:
        """Count a job that a worker will do a part of, by `run_part`.

        Raises:
            ServerError: If the user has too many jobs, or too many wait.
        """
        with self._changed:
            return self._added(user, spec)

    def run_part(self, job: Job, spec: JobSpec) -> Iterator[dict[str, Any]]:
        """Queue a part of a job of `add`, and yield its events up to the last one; blocks.

        Raises:
            JobCancelled: If the job was cancelled.
            ServerError: If the server shuts down.
        """
        with self._changed:
            self._check_open()
            if job.cancel_wanted:
                raise JobCancelled("The job was cancelled.")
            part = job.part = Job(secrets.token_hex(16), job.user, spec, clock=self._clock)
            self._waiting.append(part)
            self._changed.notify_all()
        yield from part.follow()

    def _check_open(self) -> None:
        if self._closing:
            raise ServerError("The server is shutting down.", code="closing", hint="Try later.")

    def _added(self, user: str, spec: JobSpec) -> Job:
        """Return a new job of the user within the limits; the lock is held."""
        self._check_open()
        own = sum(job.user == user and job.is_open for job in self._jobs.values())
        if own >= self._limits.jobs_per_user:
            raise ServerError(
                f"You have {own} jobs that wait or run, which is the most.", code="quota", hint="Wait for them."
            )
        if len(self._waiting) >= self._limits.waiting_jobs:
            raise ServerError(f"{len(self._waiting)} jobs are waiting.", code="busy", hint="Try again in a minute.")
        job = Job(secrets.token_hex(16), user, spec, clock=self._clock)
        self._jobs[job.id] = job
        self._forget_oldest(user)
        return job

    def get(self, user: str, job_id: str) -> Job:
        """Return a job of this user.

        Raises:
            ServerError: If there is none.
        """
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None or job.user != user:
            raise not_found("job")
        job.touch()
        return job

    def cancel(self, job: Job) -> None:
        """Cancel a job, waiting or running; one that has ended stays as it is."""
        with self._changed:
            job.cancel_wanted = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.emit(error_event("cancelled", "The job was cancelled before it began."), state="cancelled")
                return
            part = job.part
            if part is None and job.spec.address and job.state == "waiting":
                job.emit(error_event("cancelled", "The job was cancelled before it began."), state="cancelled")
        if part is not None:
            self.cancel(part)
            return
        for slot in self._slots:
            slot.cancel(job)

    def forget(self, job: Job) -> None:
        """Cancel a job and drop its results."""
        self.cancel(job)
        with self._changed:
            self._jobs.pop(job.id, None)

    def expire(self) -> None:
        """Remove expired jobs."""
        horizon = self._clock() - self._limits.job_idle_s
        with self._changed:
            for job in [job for job in self._jobs.values() if not job.is_open and job.last_used < horizon]:
                del self._jobs[job.id]

    def _forget_oldest(self, user: str) -> None:
        finished = [job for job in self._jobs.values() if job.user == user and not job.is_open]
        for job in finished[: max(0, len(finished) - self._limits.finished_jobs_per_user)]:
            del self._jobs[job.id]

    def take(self, volumes: Sequence[str], since: float) -> Job | None:
        """Wait for the next job for a worker that has `volumes`, the last encoded then; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            job = self._choose(volumes, since)
            self._waiting.remove(job)
            job.state = "running"
            job.attempts += 1
            return job

    def note_encoding(self, seconds: float) -> None:
        """Record the time of an encoding."""
        self._encoding_s = seconds if not self._encoding_s else 0.8 * self._encoding_s + 0.2 * seconds

    def pause(self, seconds: float) -> bool:
        """Wait while other workers run jobs; returns False at once if none is ready, and at shutdown."""
        with self._changed:
            if self.num_alive:
                self._changed.wait_for(lambda: self._closing, seconds)
            return self.num_alive > 0 and not self._closing

    def _choose(self, volumes: Sequence[str], since: float) -> Job:
        """Return the oldest job on a volume that is here, within the affinity window; else the oldest."""
        if time.monotonic() - since < max(_MIN_AFFINITY_S, _AFFINITY_WINDOW * self._encoding_s):
            here = next((job for job in self._waiting if job.spec.volume in volumes), None)
            if here is not None:
                return here
        elsewhere = {key for slot in self._slots for key in slot.volumes} - set(volumes)
        return next((job for job in self._waiting if job.spec.volume not in elsewhere), self._waiting[0])

    def put_back(self, job: Job) -> bool:
        """Requeue a job at the head after its worker died; returns False when it has no attempts left."""
        with self._changed:
            if job.attempts >= _MAX_ATTEMPTS or self._closing:
                return False
            job.state = "waiting"
            self._waiting.appendleft(job)
            self._changed.notify_all()
            return True
