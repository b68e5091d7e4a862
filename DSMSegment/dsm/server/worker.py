"""Protocol of a server's worker, and the local worker process."""

from __future__ import annotations

import base64
import os
import shutil
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dsm.client.process import WorkerClient
from dsm.errors import JobCancelled
from dsm.server.job import JobSpec
from dsm.server.volumes import StoredVolume
from dsm.wire.codec import to_fields
from dsm.wire.messages import Load, Progress, PromptItem, Request, Result, Segment, SetVolume

Event: TypeAlias = dict[str, Any]
"""What a listener of a job is told; of a result with its voxels in it."""


class Worker(Protocol):
    """Does one thing at a time; `cancel` and `close` may be called from other threads."""

    @property
    def alive(self) -> bool:
        """True while it can be used; a dead one stays dead."""

    def load(self) -> None:
        """Load the model.

        Raises:
            DSMError: If it cannot be loaded.
        """

    def encode(self, job_id: str, volume: StoredVolume) -> Iterator[Event]:
        """Encode a volume for the questions that follow; it knows the last two.

        Raises:
            JobCancelled: After `cancel` for this job.
            DSMError: If it failed; code `"worker.died"` if the worker is dead now.
        """

    def segment(self, job_id: str, spec: JobSpec) -> Iterator[Event]:
        """Answer a spec about an encoded volume; raises as `encode`."""

    def cancel(self, job_id: str) -> None:
        """Stop what is done for a job, now or as soon as it begins."""

    def close(self) -> None:
        """End it, also in the middle of something."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """Settings common to all workers of a server.

    Args:
        model: Name or folder.
        model_sha256: Digest that the worker must find.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Where it exchanges voxels with its process; None for the system's temporary files.
    """

    model: str
    model_sha256: str
    precision: str
    folder: Path | None


class LocalWorker:
    """A worker process of this machine. See `Worker`.

    Args:
        setup: Model and folder.
        device: Where it computes.

    Raises:
        WorkerError: If the process cannot be started.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        self._setup = setup
        self._device = device
        self._client = WorkerClient(folder_parent=setup.folder, host="dsm serve")
        self._lock = threading.Lock()
        self._request = ""
        self._cancelled = ""

    @property
    def alive(self) -> bool:
        """True while the process takes requests."""
        return self._client.alive

    def load(self) -> None:
        """Load the model."""
        client, setup = self._client, self._setup
        load = Load(
            id=client.new_id(),
            model=setup.model,
            sha256=setup.model_sha256,
            device=self._device,
            precision=setup.precision,
        )
        client.wait(client.submit(load))
        client.poll()

    def encode(self, job_id: str, volume: StoredVolume) -> Iterator[Event]:
        """See `Worker.encode`."""
        client = self._client
        name = client.new_file(".npy")
        _link(volume.path, client.folder / name)
        try:
            yield from self._run_request(
                job_id,
                SetVolume(
                    id=client.new_id(), key=volume.id, array=name, affine=volume.affine, modality=volume.modality
                ),
            )
        finally:
            (client.folder / name).unlink(missing_ok=True)

    def segment(self, job_id: str, spec: JobSpec) -> Iterator[Event]:
        """See `Worker.segment`."""
        client = self._client
        items = tuple(
            PromptItem(id=str(number), prompt=prompt, file=client.new_file())
            for number, prompt in enumerate(spec.prompts)
        )
        yield from self._run_request(
            job_id,
            Segment(id=client.new_id(), volume_key=spec.volume, prompts=items, options=spec.options),
        )

    def cancel(self, job_id: str) -> None:
        """See `Worker.cancel`."""
        with self._lock:
            self._cancelled = job_id
            if self._request:
                self._client.cancel(self._request)

    def close(self) -> None:
        """End the process and remove its folder."""
        self._client.close()

    def _run_request(self, job_id: str, request: Request) -> Iterator[Event]:
        with self._lock:
            if self._cancelled == job_id:
                raise JobCancelled("The job was cancelled.")
            self._request = self._client.submit(request)
        try:
            for event in self._client.events(self._request):
                yield _described(event, self._client)
        finally:
            with self._lock:
                self._request = ""
            self._client.poll()


def _described(event: Progress | Result, client: WorkerClient) -> Event:
    """A message as an event; a result has its voxels in it instead of the names of files."""
    if isinstance(event, Progress):
        return {"type": "progress", **_without(event, "id")}
    return {
        "type": "result",
        "prompt": int(event.prompt_id),
        **_without(event, "id", "prompt_id", "file", "probability_file", "uncertainty_file"),
        "mask": _text_of(client, event.file),
        "probability": _text_of(client, event.probability_file, compress=True),
        "uncertainty": _text_of(client, event.uncertainty_file, compress=True),
    }


def _text_of(client: WorkerClient, name: str, *, compress: bool = False) -> str:
    """Take the content of a file as text; nothing where there is no name."""
    if not name:
        return ""
    content = client.take(name)
    return base64.b64encode(zlib.compress(content, 1) if compress else content).decode("ascii")


def _without(event: Progress | Result, *names: str) -> Event:
    return {name: value for name, value in to_fields(event).items() if name not in names}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
