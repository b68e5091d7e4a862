"""Job of a user: its specification and its events, for any number of listeners."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from dsm.core.click import check_clicks
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.errors import ProtocolError

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Prompts and options of a job.

    Args:
        volume: Id of the volume; empty with an address.
        address: Instead of a volume: study or series of the server's archive, in full or from `studies` on.
        send: Whether to store the results in the archive, as a DICOM SEG of the study.
        prompts: Parsed prompts. Without any, the volume is encoded for later jobs.
        options: Options of the run.

    Raises:
        ProtocolError: If it has neither volume nor address, or both, or there is nothing that could be sent.
        InputError: If the clicks of a prompt are none.
    """

    volume: str = ""
    address: str = ""
    send: bool = False
    prompts: tuple[Prompt, ...] = ()
    options: SegmentOptions = field(default_factory=SegmentOptions)

    def __post_init__(self) -> None:
        if bool(self.volume) == bool(self.address):
            raise ProtocolError("A job has either a volume or an address.", code="request")
        if self.send and not (self.address and self.prompts):
            raise ProtocolError("What is sent is the answer to prompts on an address.", code="request")
        for prompt in self.prompts:
            if prompt.clicks:
                check_clicks(prompt.clicks, prompt.kind)


def error_event(code: str, text: str, hint: str = "") -> dict[str, Any]:
    """Return the last event of a job that failed."""
    return {"type": "error", "code": code, "text": text, "hint": hint}


class Job:
    """A job of one user; safe for several threads.

    Args:
        job_id: Unguessable id.
        user: Owner.
        spec: Prompts and options.
        clock: Monotonic clock in s.

    Attributes:
        volume: Id of its volume; empty before that is there.
        stored: Address of what was stored in the archive; empty for nothing.
        part: The job of a worker that does a part of it.
    """

    def __init__(self, job_id: str, user: str, spec: JobSpec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = job_id
        self.user = user
        self.spec = spec
        self.volume = spec.volume
        self.stored = ""
        self.part: Job | None = None
        self.attempts = 0
        self.state: State = "waiting"
        self.cancel_wanted = False
        self.created = clock()
        self.last_used = self.created
        self._clock = clock
        self._lock = threading.Condition()
        self._lines: list[bytes] = []
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def is_open(self) -> bool:
        """True while it is queued or running."""
        return self.state in _OPEN

    def touch(self) -> None:
        """Count the job as used."""
        self.last_used = self._clock()

    def begin(self) -> bool:
        """Count the job as running; returns False if it has ended meanwhile."""
        with self._lock:
            if self.is_open:
                self.state = "running"
            return self.is_open

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
            self._lock.notify_all()
            waiters = list(self._waiters)
        for loop, event_set in waiters:
            loop.call_soon_threadsafe(event_set.set)

    def lines(self, start: int = 0) -> tuple[list[bytes], bool]:
        """Return the lines from number `start` on, and whether no more will come."""
        with self._lock:
            return self._lines[start:], not self.is_open

    def follow(self) -> Iterator[dict[str, Any]]:
        """Yield all events as they come, up to the last one; blocks."""
        seen, ended = 0, False
        while not ended:
            with self._lock:
                while len(self._lines) <= seen and self.is_open:
                    self._lock.wait()
                lines, ended = self._lines[seen:], not self.is_open
            seen += len(lines)
            for line in lines:
                yield json.loads(line)

    def results(self) -> list[dict[str, Any]]:
        """Return the events of type `result`."""
        lines, _ = self.lines()
        events = [json.loads(line) for line in lines]
        # A job whose worker died is done again: the last answer to a prompt counts.
        found = {(event["prompt"], event["name"]): event for event in events if event["type"] == "result"}
        return list(found.values())

    async def wait_for_more(self, num_seen: int, timeout_s: float) -> None:
        """Wait for more than `num_seen` lines, the end of the job, or the timeout."""
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
