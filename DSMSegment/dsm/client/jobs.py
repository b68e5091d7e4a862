"""Base class of worker and server clients: job ids, received events, and waiting."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np

from dsm.core.error_codes import make_error
from dsm.errors import DSMError, ProtocolError, WorkerError
from dsm.wire.messages import Done, Error, Progress, Request, Result

JobEvent: TypeAlias = Progress | Result | Done | Error
StartThread: TypeAlias = Callable[[Callable[[], None], str], threading.Thread]
"""Calls a function on a new daemon thread of a name."""


def start_thread(function: Callable[[], None], name: str) -> threading.Thread:
    """Call `function` on a new daemon thread."""
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def drain(
    events: Generator[Progress | Result, None, Done], on_event: Callable[[Progress | Result], None] | None = None
) -> Done:
    """Consume the events of a job until it ends, and return its end.

    Args:
        events: Of `JobClient.events`; its errors pass through.
        on_event: Called with each progress and each result.
    """
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            done: Done = end.value
            return done
        if on_event is not None:
            on_event(event)


class JobClient(ABC):
    """Client whose jobs are submitted on one thread and whose events are received on another.

    Use it as a context manager: leaving it calls `close`, whatever happened before. Every submitted job ends with
    exactly one `Done` or `Error`.

    Args:
        start_thread: Starts the threads of the client; a GUI host disables garbage collection on them.
    """

    def __init__(self, start_thread: StartThread = start_thread) -> None:
        self._start_thread = start_thread
        self._changed = threading.Condition()  # guards what is known of jobs
        self._events: deque[JobEvent] = deque()
        self._open_jobs: set[str] = set()
        self._cancelled: set[str] = set()
        self._outcomes: dict[str, Done | Error] = {}
        self._counter = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    @abstractmethod
    def alive(self) -> bool:
        """True while requests are accepted."""

    @abstractmethod
    def submit(self, request: Request) -> str:
        """Queue a request and return its id at once; jobs run one after another."""

    @abstractmethod
    def put(self, array: np.ndarray) -> str:
        """Provide an array to the other side until `drop`; returns its name for `SetVolume.array`."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove an array of `put`."""

    @abstractmethod
    def take(self, name: str) -> bytes:
        """Read and remove a file of a result."""

    @abstractmethod
    def cancel(self, job_id: str, *, grace_s: float = 2.0) -> None:
        """Stop a job; returns at once. It ends within about `grace_s`, usually as cancelled."""

    @abstractmethod
    def close(self) -> None:
        """Stop running jobs and remove temporary data. Safe to call twice."""

    def new_id(self) -> str:
        """Return a job id that this client has not given out."""
        return f"job-{next(self._counter)}"

    def new_file(self, suffix: str = "") -> str:
        """Return an unused name for a file, e.g. `new_file(".npy")`."""
        return f"file-{next(self._counter)}{suffix}"

    def wait(
        self,
        job_id: str,
        *,
        timeout_s: float | None = None,
        on_event: Callable[[Progress | Result], None] | None = None,
    ) -> Done:
        """Wait until the job ends; `poll` no longer returns its events.

        Args:
            job_id: Id from `submit`.
            timeout_s: None to wait for ever.
            on_event: Called in this thread with each progress and each result as it arrives.

        Raises:
            JobCancelled: If the job was cancelled.
            DSMError: If the job failed: of the class, code, hint and details of the worker's error.
            WorkerError: If the worker died (`worker.died`) or the time is over (`worker.timeout`).
        """
        return drain(self.events(job_id, timeout_s=timeout_s), on_event)

    def events(self, job_id: str, *, timeout_s: float | None = None) -> Generator[Progress | Result, None, Done]:
        """Yield the events of a job until it ends; raises as `wait`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            event = self._next_event(job_id, deadline)
            if event is None:
                raise WorkerError(f"Job '{job_id}' takes longer than {timeout_s} s.", code="worker.timeout")
            if isinstance(event, Done):
                return event
            if isinstance(event, Error):
                raise error_of(event)
            yield event

    def poll(self) -> list[JobEvent]:
        """Return the events since the last call, in their order, without waiting; for a timer in a GUI."""
        with self._changed:
            events = list(self._events)
            self._events.clear()
        return events

    def _refuse_used(self, job_id: str) -> None:
        """Raise if an id was used before; the lock is held."""
        if job_id in self._open_jobs or job_id in self._outcomes:
            raise ProtocolError(f"The job id '{job_id}' was used before.")

    def _note(self, event: JobEvent) -> None:
        """Keep an event of an open job; events of other jobs are dropped."""
        with self._changed:
            if event.id not in self._open_jobs:
                return
            self._events.append(event)
            if isinstance(event, (Done, Error)):
                self._open_jobs.discard(event.id)
                self._cancelled.discard(event.id)
                self._outcomes[event.id] = event
            self._changed.notify_all()

    def _next_event(self, job_id: str, deadline: float | None) -> JobEvent | None:
        """Take the job's next event; None when the time is over."""
        with self._changed:
            while True:
                for event in self._events:
                    if event.id == job_id:
                        self._events.remove(event)
                        return event
                if job_id in self._outcomes:  # taken by `poll`, or by an earlier `wait`
                    return self._outcomes[job_id]
                if job_id not in self._open_jobs:
                    raise ProtocolError(f"There is no job '{job_id}'.")
                rest = None if deadline is None else deadline - time.monotonic()
                if rest is not None and rest <= 0:
                    return None
                self._changed.wait(rest)


def error_of(event: Error) -> DSMError:
    """Return the exception for an error message."""
    return make_error(event.code, event.text, hint=event.hint, details=event.details)
