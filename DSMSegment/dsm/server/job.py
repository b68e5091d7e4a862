"""One job: what is asked, and what has happened so far, for any number of listeners."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Prompts and options of a job.

    Args:
        volume: Its id.
        prompts: As they were understood. May be empty: then the volume is encoded for the jobs that follow.
        options: How they are segmented.
    """

    volume: str
    prompts: tuple[Prompt, ...] = ()
    options: SegmentOptions = field(default_factory=SegmentOptions)


def error_event(code: str, text: str, hint: str = "") -> dict[str, Any]:
    """The last event of a job that did not succeed."""
    return {"type": "error", "code": code, "text": text, "hint": hint}


class Job:
    """A job of one user; safe for several threads.

    Args:
        job_id: Its name, which nobody can guess.
        user: Whose it is.
        spec: What to do.
        clock: Seconds.
    """

    def __init__(self, job_id: str, user: str, spec: JobSpec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = job_id
        self.user = user
        self.spec = spec
        self.attempts = 0
        self.state: State = "waiting"
        self.cancel_wanted = False
        self.created = clock()
        self.last_used = self.created
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def is_open(self) -> bool:
        """True while it is queued or running."""
        return self.state in _OPEN

    def touch(self) -> None:
        """Count the job as used."""
        self.last_used = self._clock()

    def emit(self, event: dict[str, Any], *, state: State | None = None) -> None:
        """Add an event; with `state` it is the last one."""
        line = json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if not self.is_open:
                return
            self._lines.append(line)
            if state is not None:
                self.state = state
                self.touch()
            waiters = list(self._waiters)
        for loop, event_set in waiters:
            loop.call_soon_threadsafe(event_set.set)

    def lines(self, start: int = 0) -> tuple[list[bytes], bool]:
        """Return the lines from number `start` on, and whether no more will come."""
        with self._lock:
            return self._lines[start:], not self.is_open

    def results(self) -> list[dict[str, Any]]:
        """Return the events of type `result`."""
        lines, _ = self.lines()
        events = [json.loads(line) for line in lines]
        # A job whose worker died is done again: the last answer to a prompt counts.
        found = {(event["prompt"], event["name"]): event for event in events if event["type"] == "result"}
        return list(found.values())

    async def wait_for_more(self, num_seen: int, timeout_s: float) -> None:
        """Wait until there are more than `num_seen` lines, the job has ended, or the time is over."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if len(self._lines) > num_seen or not self.is_open:
                return
            self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter[1].wait(), timeout_s)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.discard(waiter)
