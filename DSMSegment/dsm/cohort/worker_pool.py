"""Pool of worker processes with a loaded model; dead ones are replaced."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from dsm.client.process import WorkerClient
from dsm.client.session import ClientSession
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import WorkerError


class WorkerPool:
    """Fixed number of workers, each started when first needed; thread-safe.

    Leaving it as a context manager ends all of them.

    Args:
        devices: One worker each; a device may occur several times.
        model: Name or folder.
        model_sha256: Digest that the worker must find.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Parent of the folders shared with the workers.
    """

    def __init__(self, devices: Sequence[str], *, model: str, model_sha256: str, precision: str, folder: Path) -> None:
        self._model = model
        self._sha256 = model_sha256
        self._precision = precision
        self._folder = folder
        self._idle: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._slots = [_Slot(device) for device in devices]
        for slot in self._slots:
            self._idle.put(slot)
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, also in the middle of a job, whose caller then gets a `WorkerError`."""
        self.closed = True
        for slot in self._slots:
            slot.close()

    @contextmanager
    def worker(self) -> Iterator[WorkerClient]:
        """Wait for an idle worker, with the model loaded; it belongs to this thread until the block ends.

        Raises:
            WorkerError: If it cannot be started or cannot load the model.
        """
        slot = self._idle.get()
        try:
            if self.closed:
                raise WorkerError("The workers were closed.", code="worker.closed")
            yield self._ready(slot)
        finally:
            self._idle.put(slot)

    def _ready(self, slot: _Slot) -> WorkerClient:
        if slot.client is not None and not slot.client.alive:
            slot.close()
        if slot.client is None:
            slot.client = WorkerClient(folder_parent=self._folder, host="dsm batch")
            if self.closed:  # meanwhile
                slot.close()
                raise WorkerError("The workers were closed.", code="worker.closed")
        client = slot.client
        # Answered at once when it is loaded already.
        ClientSession(client).load(self._model, device=slot.device, sha256=self._sha256, precision=self._precision)
        return client


class _Slot:
    def __init__(self, device: str) -> None:
        self.device = device
        self.client: WorkerClient | None = None

    def close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            client.close()


def segment_in(
    client: WorkerClient, volume: Volume, prompts: Sequence[Prompt], options: SegmentOptions
) -> list[PromptResult]:
    """Encode a volume in a worker, segment prompts, and release the volume.

    Returns:
        One result a prompt, in their order.

    Raises:
        WorkerError: If the worker cannot do it, or dies.
    """
    scan = ClientSession(client).prepare(volume, prompts)
    try:
        return scan.segment(prompts, options)
    finally:
        scan.release()
