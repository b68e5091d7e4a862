"""Pool of worker processes with a loaded model; dead ones are replaced."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import numpy as np

from dsm.client.process import WorkerClient
from dsm.core.boxes import CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import WorkerError
from dsm.inference.result import PromptResult
from dsm.text.prompt import Prompt
from dsm.wire.arrays import read_mask, write_array
from dsm.wire.messages import Affine, Load, Progress, PromptItem, Release, Result, Segment, SetVolume

#: The worker is gone, and with it what made it go: the next one may succeed.
DEATHS = ("worker.died", "worker.timeout", "worker.closed")


class WorkerPool:
    """A fixed number of workers, each started when it is first needed.

    Safe for several threads. Leaving it as a context manager ends all of them.

    Args:
        devices: One worker each; a device may occur several times.
        model: Name or folder.
        model_sha256: Digest that the worker must find.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Where workers and this process exchange voxels.
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
        client.wait(
            client.submit(
                Load(
                    id=client.new_id(),
                    model=self._model,
                    sha256=self._sha256,
                    device=slot.device,
                    precision=self._precision,
                )
            )
        )
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
    array = client.new_file(".npy")
    key = client.new_id()
    write_array(client.folder, array, np.asarray(volume.array))
    rows = cast(Affine, tuple(map(tuple, volume.affine.tolist())))
    try:
        client.wait(
            client.submit(SetVolume(id=client.new_id(), key=key, array=array, affine=rows, modality=volume.modality))
        )
        (client.folder / array).unlink(missing_ok=True)
        found = _segment(client, key, prompts, options)
        return [_result(client, one, prompt, volume) for one, prompt in zip(found, prompts, strict=True)]
    finally:
        (client.folder / array).unlink(missing_ok=True)
        if client.alive:
            client.submit(Release(id=client.new_id(), volume_key=key))


def _segment(client: WorkerClient, key: str, prompts: Sequence[Prompt], options: SegmentOptions) -> list[Result]:
    # A structure goes by its name: what was typed may name two. Free text goes as it is.
    items = tuple(
        PromptItem(id=str(number), text=prompt.name if prompt.structure else prompt.text, file=client.new_file())
        for number, prompt in enumerate(prompts)
    )
    found: dict[str, Result] = {}

    def keep(event: Progress | Result) -> None:
        if isinstance(event, Result):
            found[event.prompt_id] = event

    job = Segment(id=client.new_id(), volume_key=key, prompts=items, options=options)
    client.wait(client.submit(job), on_event=keep)
    return [found[item.id] for item in items]


def _result(client: WorkerClient, message: Result, prompt: Prompt, volume: Volume) -> PromptResult:
    mask = CroppedArray(read_mask(client.folder, message.file, message.size), message.offset_ijk)
    if message.file:
        (client.folder / message.file).unlink(missing_ok=True)
    return PromptResult(
        prompt=prompt,
        mask=mask,
        shape=volume.shape,
        found=message.found,
        score=message.score,
        volume_ml=message.volume_mm3 / 1000,
        seconds=message.seconds,
        threshold=message.threshold,
        warnings=tuple(dict.fromkeys((*prompt.warnings, *message.warnings))),
    )
