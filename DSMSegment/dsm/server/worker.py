"""Protocol of a server's worker, and the local worker process."""

from __future__ import annotations

import base64
import os
import shutil
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dsm.client.cancel_token import CancelToken
from dsm.client.process import WorkerClient
from dsm.client.session import ClientSession, ResultFiles
from dsm.server.job import JobSpec
from dsm.server.messages import ResultResponse
from dsm.server.volumes import StoredVolume
from dsm.wire.codec import to_fields
from dsm.wire.messages import Progress, PromptItem, Request, Result, ResultMetadata, Segment, SetVolume

Event: TypeAlias = dict[str, Any]
"""Event of a job as a JSON object; a result has its voxels in it."""


class Worker(Protocol):
    """Worker that runs one request at a time; `cancel` and `close` may be called from other threads."""

    @property
    def alive(self) -> bool:
        """True while the worker accepts requests; never again after its death."""

    def load(self) -> None:
        """Load the model.

        Raises:
            DSMError: If it cannot be loaded.
        """

    def take(self, job_id: str, volume: StoredVolume, *, encode: bool) -> Iterator[Event]:
        """Take a volume for later prompts, which encode it if they need to, unless it is encoded now; two are kept.

        Raises:
            JobCancelled: After `cancel` for this job.
            DSMError: If it failed; code `"worker.died"` if the worker is dead now.
        """

    def segment(self, job_id: str, spec: JobSpec) -> Iterator[Event]:
        """Segment the prompts of a job in a volume of `take`; raises as that."""

    def cancel(self, job_id: str) -> None:
        """Cancel a job, running or about to begin."""

    def close(self) -> None:
        """End the worker, even during a request."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """Settings common to all workers of a server.

    Args:
        model: Name or folder.
        model_sha256: Digest that the worker must find.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Parent of the folder shared with the process; None for the system's temporary folder.
    """

    model: str
    model_sha256: str
    precision: str
    folder: Path | None


class LocalWorker:
    """A worker process of this machine. See `Worker`.

    Args:
        setup: Model and folder.
        device: Device of the network.

    Raises:
        WorkerError: If the process cannot be started.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        self._setup = setup
        self._device = device
        self._client = WorkerClient(folder_parent=setup.folder, host="dsm serve")
        self._lock = threading.Lock()
        self._tokens: dict[str, CancelToken] = {}

    @property
    def alive(self) -> bool:
        """True while the process takes requests."""
        return self._client.alive

    def load(self) -> None:
        """Load the model."""
        setup = self._setup
        ClientSession(self._client).load(
            setup.model, device=self._device, sha256=setup.model_sha256, precision=setup.precision
        )

    def take(self, job_id: str, volume: StoredVolume, *, encode: bool) -> Iterator[Event]:
        """See `Worker.take`."""
        client = self._client
        name = client.new_file(".npy")
        # Not through the session: it takes voxels in memory, and these are in a file already.
        _link(volume.path, client.folder / name)
        try:
            yield from self._run(
                job_id,
                SetVolume(
                    id=client.new_id(),
                    key=volume.id,
                    array=name,
                    affine=volume.affine,
                    modality=volume.modality,
                    encode=encode,
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
        yield from self._run(
            job_id,
            Segment(id=client.new_id(), volume_key=spec.volume, prompts=items, options=spec.options),
        )

    def cancel(self, job_id: str) -> None:
        """See `Worker.cancel`."""
        with self._lock:
            token = self._tokens.setdefault(job_id, CancelToken())
        token.request()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._client.close()

    def _run(self, job_id: str, request: Request) -> Iterator[Event]:
        with self._lock:  # one job at a time: requests to cancel earlier ones came too late
            token = self._tokens.get(job_id) or CancelToken()
            self._tokens = {job_id: token}
        session = ClientSession(self._client, cancel=token)
        for event in session.events(request):
            if isinstance(event, Progress):
                yield {"type": "progress", **_without_id(event)}
            else:
                yield to_fields(_response(event, session.take(event)))


def _without_id(event: Progress) -> Event:
    return {name: value for name, value in to_fields(event).items() if name != "id"}


def _response(result: Result, files: ResultFiles) -> ResultResponse:
    """Return a result with its voxels instead of the names of files."""
    metadata = {field.name: getattr(result, field.name) for field in fields(ResultMetadata)}
    return ResultResponse(
        **metadata,
        prompt=int(result.prompt_id),
        mask=_base64(files.mask),
        probability=_base64(_compressed(files.probability)),
        uncertainty=_base64(_compressed(files.uncertainty)),
    )


def _compressed(content: bytes) -> bytes:
    return zlib.compress(content, 1) if content else b""


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
