"""One worker process of the server, and the thread that feeds it."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dsm.errors import DSMError, JobCancelled
from dsm.protocol.client import WorkerClient
from dsm.protocol.codec import to_fields
from dsm.protocol.messages import Load, Progress, PromptItem, Request, Result, Segment, SetVolume
from dsm.server.job import Job, error_event
from dsm.server.volumes import VolumeStore

logger = logging.getLogger(__name__)

# What a worker keeps encoded (`dsm.service.session`).
_CACHED = 2
# Gone, or without the volume that it should have: another try may succeed.
_AGAIN = ("worker.died", "worker.timeout", "no_volume")


class Queue(Protocol):
    """Where a lane finds jobs."""

    def take(self, encoded: Sequence[str], since: float) -> Job | None:
        """Wait for the next job for a worker that has `encoded` volumes, the last since then; None at the end."""

    def put_back(self, job: Job) -> bool:
        """Let a job wait again after its worker died. False when it had its tries."""

    def note_encoding(self, seconds: float) -> None:
        """Learn how long an encoding takes here."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What every worker of a server is given.

    Args:
        model: Name or folder.
        model_sha256: Digest that the worker must find.
        folder: Where workers exchange voxels with this process.
        volumes: Where jobs find their voxels.
    """

    model: str
    model_sha256: str
    folder: Path
    volumes: VolumeStore


class Lane:
    """A worker process and its thread; the worker is replaced when it dies.

    Args:
        device: Where it computes.
        setup: Model and folders.
        queue: Where jobs come from.
    """

    def __init__(self, device: str, setup: WorkerSetup, queue: Queue) -> None:
        self.device = device
        self.client: WorkerClient | None = None
        self.ready = False
        self.encoded: list[str] = []  # least recently used first, as the worker's own cache
        self._encoded_at = 0.0
        self._setup = setup
        self._queue = queue
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._request = ""
        self.thread = threading.Thread(target=self._run, name=f"dsm-lane-{device}", daemon=True)

    def close(self) -> None:
        """End the worker, also in the middle of a job."""
        with self._lock:
            client = self.client
        if client is not None:
            client.close()
        if self.thread.is_alive():
            self.thread.join(10)

    def cancel(self, job: Job) -> None:
        """Stop the job if it runs here."""
        with self._lock:
            if self._job is job and self.client is not None and self._request:
                self.client.cancel(self._request)

    def _run(self) -> None:
        self._try_to_start()
        while (job := self._queue.take(self.encoded, self._encoded_at)) is not None:
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
        self._drop_client()

    def _fail(self, job: Job, error: DSMError) -> None:
        again = error.code in _AGAIN
        logger.warning("Job %s: %s", job.id, error.code)
        self.encoded = [key for key in self.encoded if key != job.question.volume]
        if again and self._queue.put_back(job):
            job.emit({"type": "progress", "stage": "waiting", "done": 0, "total": 1, "note": "A worker was replaced."})
            return
        # No details: a traceback or a log has no business on another machine.
        job.emit(error_event(error.code, str(error), error.hint), state="failed")

    def _try_to_start(self) -> None:
        try:
            self._ready_client()
        except DSMError as error:  # said again with the first job
            logger.error("The worker on %s does not start: %s", self.device, error.one_line)

    def _ready_client(self) -> WorkerClient:
        if self.client is not None and not self.client.alive:
            self._drop_client()
        if self.client is None:
            client = WorkerClient(folder_parent=self._setup.folder, host="dsm serve")
            with self._lock:
                self.client = client
            load = Load(
                id=client.new_id(), model=self._setup.model, sha256=self._setup.model_sha256, device=self.device
            )
            self._do(load)
            self.ready = True
        return self.client

    def _drop_client(self) -> None:
        with self._lock:
            client, self.client = self.client, None
            self.ready, self.encoded = False, []
        if client is not None:
            client.close()

    def _do(self, request: Request, on_event: Callable[[Progress | Result], None] | None = None) -> None:
        client = self.client
        assert client is not None  # noqa: S101  (only called with one)
        with self._lock:
            if self._job is not None and self._job.cancel_wanted:
                raise JobCancelled("The job was cancelled.")
            self._request = client.submit(request)
        try:
            client.wait(self._request, on_event=on_event)
        finally:
            with self._lock:
                self._request = ""
            client.poll()

    def _serve(self, job: Job) -> None:
        began = time.monotonic()
        client = self._ready_client()
        question = job.question

        def progress(event: Progress | Result) -> None:
            if isinstance(event, Progress):
                job.emit({"type": "progress", **_without(event, "id")})

        with self._setup.volumes.pinned(question.volume) as volume:
            if question.volume in self.encoded:
                self.encoded.remove(question.volume)
            else:
                self.encoded = self.encoded[-(_CACHED - 1) :]
                name = client.new_file(".npy")
                _link(volume.path, client.folder / name)
                try:
                    message = SetVolume(
                        id=client.new_id(), key=volume.id, array=name, affine=volume.affine, modality=volume.modality
                    )
                    self._do(message, progress)
                    self._encoded_at = time.monotonic()
                    self._queue.note_encoding(self._encoded_at - began)
                finally:
                    (client.folder / name).unlink(missing_ok=True)
            self.encoded.append(question.volume)
        if question.prompts:
            self._segment(job, client, progress)
        job.emit({"type": "done", "seconds": round(time.monotonic() - began, 3)}, state="done")

    def _segment(self, job: Job, client: WorkerClient, progress: Callable[[Progress | Result], None]) -> None:
        question = job.question
        items = tuple(
            PromptItem(
                id=str(number),
                text=text,
                file=client.new_file(".mask"),
                probability_file=client.new_file(".npy") if question.probabilities else "",
                uncertainty_file=client.new_file(".npy") if question.uncertainty else "",
            )
            for number, text in enumerate(question.prompts)
        )

        def take(event: Progress | Result) -> None:
            if isinstance(event, Progress):
                progress(event)
            else:
                job.emit(_described(event, client.folder))

        message = Segment(
            id=client.new_id(),
            volume_key=question.volume,
            prompts=items,
            threshold=question.threshold,
            keep_largest=question.keep_largest,
            roi=question.roi,
            mode=question.mode,
        )
        self._do(message, take)


def _described(event: Result, folder: Path) -> dict[str, Any]:
    """A result with its voxels in it instead of the names of files."""
    return {
        "type": "result",
        "prompt": int(event.prompt_id),
        **_without(event, "id", "prompt_id", "file", "probability_file", "uncertainty_file"),
        "mask": _take_file(folder, event.file),
        "probability": _take_file(folder, event.probability_file, compress=True),
        "uncertainty": _take_file(folder, event.uncertainty_file, compress=True),
    }


def _take_file(folder: Path, name: str, *, compress: bool = False) -> str:
    """Return the content as text, and remove the file; nothing where there is no name."""
    if not name:
        return ""
    path = folder / name
    try:
        content = path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
    return base64.b64encode(zlib.compress(content, 1) if compress else content).decode("ascii")


def _without(event: Progress | Result, *names: str) -> dict[str, Any]:
    return {name: value for name, value in to_fields(event).items() if name not in names}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
