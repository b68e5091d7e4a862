"""Scheduling of jobs on workers, preferring the worker that has the volume encoded."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from dsm.errors import ServerError
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
_MIN_TURN_S = 1.0


class Scheduler:
    """Accepts jobs of users, within their limits, and runs each one; safe for several threads.

    Args:
        starts: Each starts a worker, and starts it again when it died.
        volumes: What jobs are about.
        limits: For each user.
        clock: Seconds that never run backwards.
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
        self._lanes = [WorkerSlot(start, volumes, self) for start in starts]

    def start(self) -> None:
        """Start the workers; they load the model at once."""
        for lane in self._lanes:
            lane.thread.start()

    def close(self) -> None:
        """End all workers; jobs that were not finished fail with the code `closing`."""
        with self._changed:
            self._closing = True
            waiting, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
        for job in waiting:
            job.emit(error_event("closing", "The server is shutting down."), state="failed")
        for lane in self._lanes:
            lane.close()

    @property
    def closing(self) -> bool:
        """True while the server shuts down."""
        return self._closing

    @property
    def num_alive(self) -> int:
        """Number of workers with a loaded model."""
        return sum(lane.ready for lane in self._lanes)

    @property
    def num_waiting(self) -> int:
        """Number of queued jobs."""
        return len(self._waiting)

    def submit(self, user: str, spec: JobSpec) -> Job:
        """Accept a job; from now on it ends with an answer, also when a worker dies.

        Raises:
            ServerError: If there is no such volume, the user has too many jobs, or too many wait.
        """
        self._volumes.get(user, spec.volume)
        with self._changed:
            if self._closing:
                raise ServerError("The server is shutting down.", code="closing", hint="Try later.")
            own = sum(job.user == user and job.is_open for job in self._jobs.values())
            if own >= self._limits.jobs_per_user:
                raise ServerError(
                    f"You have {own} jobs that wait or run, which is the most.", code="quota", hint="Wait for them."
                )
            if len(self._waiting) >= self._limits.waiting_jobs:
                raise ServerError(f"{len(self._waiting)} jobs are waiting.", code="busy", hint="Try again in a minute.")
            job = Job(secrets.token_hex(16), user, spec, clock=self._clock)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._forget_oldest(user)
            self._changed.notify_all()
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
        """Stop a job, waiting or running; one that has ended stays as it is."""
        with self._changed:
            job.cancel_wanted = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.emit(error_event("cancelled", "The job was cancelled before it began."), state="cancelled")
                return
        for lane in self._lanes:
            lane.cancel(job)

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

    def take(self, encoded: Sequence[str], since: float) -> Job | None:
        """Wait for the next job for a worker that has `encoded` volumes, the last since then; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            job = self._choose(encoded, since)
            self._waiting.remove(job)
            job.state = "running"
            job.attempts += 1
            return job

    def note_encoding(self, seconds: float) -> None:
        """Record the time of an encoding."""
        self._encoding_s = seconds if not self._encoding_s else 0.8 * self._encoding_s + 0.2 * seconds

    def pause(self, seconds: float) -> bool:
        """Wait while other workers do the jobs. False, at once, when none is ready, or at the end."""
        with self._changed:
            if self.num_alive:
                self._changed.wait_for(lambda: self._closing, seconds)
            return self.num_alive > 0 and not self._closing

    def _choose(self, encoded: Sequence[str], since: float) -> Job:
        """While a turn lasts, the oldest job whose volume is here; else the oldest whose volume no other worker has."""
        if time.monotonic() - since < max(_MIN_TURN_S, _AFFINITY_WINDOW * self._encoding_s):
            here = next((job for job in self._waiting if job.spec.volume in encoded), None)
            if here is not None:
                return here
        elsewhere = {key for lane in self._lanes for key in lane.encoded} - set(encoded)
        return next((job for job in self._waiting if job.spec.volume not in elsewhere), self._waiting[0])

    def put_back(self, job: Job) -> bool:
        """Requeue a job at the head after its worker died. False when it has no tries left."""
        with self._changed:
            if job.attempts >= _MAX_ATTEMPTS or self._closing:
                return False
            job.state = "waiting"
            self._waiting.appendleft(job)
            self._changed.notify_all()
            return True
