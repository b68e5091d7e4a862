"""Client of `dsm serve`, with the requests and events of a worker process; voxels stay in memory."""

from __future__ import annotations

import atexit
import base64
import logging
import queue
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dsm.client.connection import Connection, check_connection
from dsm.client.jobs import JobClient, JobEvent, StartThread, start_thread
from dsm.client.volumes import RemoteVolumes
from dsm.core.error_codes import error_code
from dsm.errors import DSMError, ProtocolError, RemoteError, WorkerError
from dsm.wire.arrays import MASK_SUFFIX, PROBABILITY_SUFFIX, UNCERTAINTY_SUFFIX
from dsm.wire.codec import from_fields, to_fields
from dsm.wire.messages import Done, Error, Load, Progress, Release, Request, Result, Segment, SetVolume

logger = logging.getLogger(__name__)

_RETRIES = 4
_RETRY_S = 1.0
_BUSY_S = 120.0


@dataclass(frozen=True, slots=True)
class RemoteReady:
    """Capabilities of the server: the part of `Ready` that clients need."""

    pid: int
    worker: str
    model: str
    model_sha256: str
    device: str
    clicks: bool = False


class RemoteClient(JobClient):
    """Client of a server, with the interface of `WorkerClient`.

    A thread sends one request after another; events are kept and taken by `wait` or `poll`, and the voxels of results
    by `take`. A connection that breaks is made again, and the job goes on; jobs that are done are removed from the
    server. Voxels that are on the server are not sent again. As a worker does, the client keeps two volumes there;
    older ones are removed.

    `Load` asks again what the server has; with an empty name of a model any will do.

    Args:
        address: E.g. `"https://server:8470"`.
        token: Bearer token.
        certificate_file: See `Connection`.
        connect: Whether to try the server here. Else `Load` does, where it can be cancelled.
        start_thread: See `JobClient`.

    Raises:
        RemoteError: If the address is none, or `check_connection` finds something wrong.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        certificate_file: str | None = None,
        connect: bool = True,
        start_thread: StartThread = start_thread,
    ) -> None:
        super().__init__(start_thread)
        self._connection = Connection(address, token, certificate_file=certificate_file, keep_alive=True)
        self._check = partial(check_connection, address, token, certificate_file=certificate_file)
        self.ready = RemoteReady(0, "", "", "", str(self._connection.address))
        if connect:
            self._handshake()
        self._remote_jobs: dict[str, str] = {}
        self._closed = False
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._arrays: dict[str, np.ndarray] = {}
        self._results: dict[str, bytes] = {}
        self._volumes = RemoteVolumes(self._connection)
        self._thread = start_thread(self._run, "dsm-remote")
        atexit.register(self.close)  # as in `WorkerClient`

    @property
    def pid(self) -> int:
        """0: no process of this machine."""
        return 0

    @property
    def alive(self) -> bool:
        """True while requests are accepted."""
        return not self._closed

    @property
    def log(self) -> str:
        """Empty: the log stays on the server."""
        return ""

    def submit(self, request: Request) -> str:
        """Queue a request and return its id at once.

        Raises:
            WorkerError: If the client was closed.
            ProtocolError: If the id was used before.
        """
        with self._changed:
            if self._closed:
                raise WorkerError("The connection was closed.", code="worker.closed")
            self._refuse_used(request.id)
            self._open_jobs.add(request.id)
        self._requests.put(request)
        return request.id

    def put(self, array: np.ndarray) -> str:
        """Keep the array, which must not change, until `drop`."""
        name = self.new_file(".npy")
        self._arrays[name] = array
        return name

    def drop(self, name: str) -> None:
        """See `JobClient.drop`."""
        self._arrays.pop(name, None)

    def take(self, name: str) -> bytes:
        """See `JobClient.take`.

        Raises:
            ProtocolError: If there is no such file (any more).
        """
        try:
            return self._results.pop(name)
        except KeyError:
            raise ProtocolError(f"There is no result '{name[:80]}'.", code="protocol.path") from None

    def cancel(self, job_id: str, *, grace_s: float = 2.0) -> None:
        """Ask the server to stop a job; returns at once. After `grace_s` without an answer it counts as cancelled."""
        with self._changed:
            if job_id not in self._open_jobs:
                return
            self._cancelled.add(job_id)
        self._start_thread(partial(self._send_cancel, job_id), "dsm-remote-cancel")
        self._start_thread(partial(self._end_if_open, job_id, grace_s), "dsm-remote-grace")

    def kill(self) -> None:
        """Stop immediately."""
        self.close()

    def close(self) -> None:
        """Remove the volumes from the server, and end the thread. Safe to call twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            open_jobs = sorted(self._open_jobs)
        atexit.unregister(self.close)
        self._arrays.clear()
        for job_id in open_jobs:
            self._send_cancel(job_id)
            self._note(Error(id=job_id, code="worker.closed", text="The connection was closed."))
        self._volumes.close()
        self._requests.put(None)
        self._thread.join(5)
        self._results.clear()
        self._connection.close()

    def _handshake(self) -> None:
        """Request the capabilities of the server.

        Raises:
            RemoteError: If something is wrong with it, or the way to it.
        """
        found = self._check()
        if not found.ok and found.code != "remote.starting":
            raise RemoteError(found.text, code=found.code, hint=found.hint)
        worker, model, sha256 = (str(found.capabilities.get(name, "")) for name in ("version", "model", "model_sha256"))
        clicks = bool(found.capabilities.get("clicks"))
        self.ready = RemoteReady(0, worker, model, sha256, self.ready.device, clicks)

    # The methods below run on threads.

    def _end_if_open(self, job_id: str, grace_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: job_id not in self._open_jobs, grace_s)
        self._note(Error(id=job_id, code="cancelled", text="The job was cancelled."))

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            if request.id not in self._open_jobs:
                continue  # ended already, by `close` or `cancel`
            began = time.monotonic()
            try:
                if request.id in self._cancelled:
                    raise RemoteError("The job was cancelled before it began.", code="cancelled")
                cached = self._serve(request)
            except DSMError as error:
                self._note(
                    Error(id=request.id, code=error.code, text=str(error), hint=error.hint, details=error.details)
                )
            except Exception as error:  # the next request is served
                logger.exception("Job '%s' failed unexpectedly.", request.id)
                self._note(Error(id=request.id, code="internal", text=f"{type(error).__name__}: {error}"))
            else:
                self._note(
                    Done(id=request.id, seconds=time.monotonic() - began, device=self.ready.device, cached=cached)
                )

    def _serve(self, request: Request) -> bool:
        """Serve a request; returns whether the server had the volume of it."""
        if isinstance(request, Load):
            self._handshake()
            self._check_model(request)
        elif isinstance(request, SetVolume):
            volume = self._send_volume(request)
            self._check_wanted(request.id)
            if request.encode:
                self._encode(request.id, volume)
            return not request.array
        elif isinstance(request, Segment):
            self._segment(request)
        elif isinstance(request, Release):
            self._release(request)
        else:
            raise RemoteError("How fast a server is cannot be measured.", code="unsupported")
        return False

    def _check_model(self, request: Load) -> None:
        wanted = Path(request.model).name
        if wanted not in ("", self.ready.model):
            raise RemoteError(
                f"The server has the model {self.ready.model}, not {wanted}.",
                code="no_model",
                hint=f"Choose {self.ready.model}.",
            )

    def _send_volume(self, request: SetVolume) -> str:
        array = self._arrays.get(request.array)
        if array is None and request.array:
            raise RemoteError("The client was closed.", code="worker.closed")
        return self._volumes.put(
            request,
            array,
            retry=lambda send: self._retry(send, request.id),
            on_progress=lambda done, total: self._uploaded(request.id, done, total),
        )

    def _uploaded(self, job_id: str, done: int, total: int) -> None:
        # Once the server has everything, it keeps the volume: its id must be known, to remove it.
        if done < total:
            self._check_wanted(job_id)
        self._note(Progress(id=job_id, stage="upload", done=done, total=total))

    def _check_wanted(self, job_id: str) -> None:
        if self._is_unwanted(job_id):
            raise RemoteError("The job was cancelled.", code="cancelled")

    def _is_unwanted(self, job_id: str) -> bool:
        """Return whether a job was cancelled or has ended for this client, so that nothing is retried."""
        return self._closed or job_id in self._cancelled or job_id not in self._open_jobs

    def _encode(self, job_id: str, volume: str) -> None:
        for _ in self._events_of(job_id, {"volume": volume}):
            pass

    def _segment(self, request: Segment) -> None:
        request.check_prompts()  # a job without prompts only encodes the volume
        body = {
            "volume": self._volumes.id_of(request.volume_key),
            "prompts": [to_fields(item.prompt) for item in request.prompts],
            "options": to_fields(request.options),
        }
        for event in self._events_of(request.id, body):
            self._note(self._result(request, event))

    def _result(self, request: Segment, event: Mapping[str, Any]) -> Result:
        item = request.prompts[int(event["prompt"])]
        fields = {
            **event,
            "id": request.id,
            "prompt_id": item.id,
            "file": self._stored(item.file + MASK_SUFFIX, _decoded(event["mask"])),
            "probability_file": self._stored(item.file + PROBABILITY_SUFFIX, _map(event["probability"])),
            "uncertainty_file": self._stored(item.file + UNCERTAINTY_SUFFIX, _map(event["uncertainty"])),
        }
        return from_fields(Result, fields, where="result")

    def _stored(self, name: str, content: bytes) -> str:
        """Keep the content for `take`, and return its name; empty for no content."""
        if not content:
            return ""
        self._results[name] = content
        return name

    def _events_of(self, job_id: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a job on the server, record its progress, and yield its result events."""
        answer = self._retry(lambda: self._connection.call("POST", "/jobs", body=body), job_id)
        job = str(answer["job"])
        with self._changed:
            self._remote_jobs[job_id] = job
            unwanted = self._is_unwanted(job_id)
        self._note(Progress(id=job_id, stage="waiting", done=0, total=1))
        if unwanted:  # meanwhile, when this job was not known yet
            self._send_cancel(job_id)
        try:
            yield from self._result_events(job, job_id)
        finally:
            with suppress(RemoteError):  # else it expires there
                self._connection.call("DELETE", f"/jobs/{job}")

    def _result_events(self, job: str, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the result events of a job, resuming after a broken connection."""
        seen = failures = 0
        while True:
            try:
                for event in self._connection.lines(f"/jobs/{job}/events?after={seen}"):
                    seen, failures = seen + 1, 0
                    if event["type"] == "result":
                        yield event
                    elif event["type"] == "progress":
                        self._note(from_fields(Progress, {**event, "id": job_id}, where="progress"))
                    elif event["type"] == "error":
                        raise RemoteError(event["text"], code=event["code"], hint=event["hint"])
                    else:
                        return
                raise RemoteError("The stream of events ended too early.", code="remote.broken")
            except RemoteError as error:
                failures += 1
                if not error_code(error.code).transient or failures > _RETRIES or self._is_unwanted(job_id):
                    raise
                time.sleep(_RETRY_S * failures)

    def _retry(self, action: Callable[[], dict[str, Any]], job_id: str) -> dict[str, Any]:
        """Run `action`; try again when the server is busy, or the connection broke."""
        failures, end = 0, time.monotonic() + _BUSY_S
        while True:
            try:
                return action()
            except RemoteError as error:
                busy = error_code(error.code).busy and time.monotonic() < end
                failures += not busy
                transient = error_code(error.code).transient and failures <= _RETRIES
                if not (busy or transient) or self._is_unwanted(job_id):
                    raise
                time.sleep(_RETRY_S * max(1, failures))

    def _release(self, request: Release) -> None:
        for key in [request.volume_key] if request.volume_key else self._volumes.keys:
            self._volumes.forget(key)

    def _send_cancel(self, job_id: str) -> None:
        with self._changed:
            job = self._remote_jobs.get(job_id)
        if job is not None:
            with suppress(RemoteError):
                self._connection.call("POST", f"/jobs/{job}/cancel")

    def _note(self, event: JobEvent) -> None:
        with self._changed:
            super()._note(event)
            if isinstance(event, (Done, Error)):
                self._remote_jobs.pop(event.id, None)


def _map(text: str) -> bytes:
    try:
        return zlib.decompress(_decoded(text)) if text else b""
    except zlib.error as error:
        raise ProtocolError("The server sent a damaged map.") from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProtocolError("The server sent a damaged mask.") from error
