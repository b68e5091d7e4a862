"""What a job needs from whatever computes the masks, and the worker process as the one that ships."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from dsm import __version__
from dsm.core.boxes import CroppedArray, Index3
from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.models.store import find_model, model_entry
from dsm.protocol.arrays import content_key, read_array, read_mask, write_array
from dsm.protocol.client import WorkerClient
from dsm.protocol.messages import (
    Done,
    Load,
    Progress,
    PromptItem,
    Ready,
    Release,
    Request,
    Result,
    Segment,
    SetVolume,
)
from DSMSegmentLib.cancel_token import CancelToken
from DSMSegmentLib.finding import Finding
from DSMSegmentLib.job_progress import JobProgress
from DSMSegmentLib.provenance import Provenance
from DSMSegmentLib.request import SegmentRequest

FindingCallback = Callable[[int, Finding], None]
ProgressCallback = Callable[[JobProgress], None]


class Backend(Protocol):
    """Computes masks; one run at a time. `segment` is called on a helper thread and must not touch the scene."""

    @property
    def provenance(self) -> Provenance:
        """What makes the masks; complete once a run has started to deliver."""

    def segment(
        self,
        volume: Volume,
        request: SegmentRequest,
        *,
        onProgress: ProgressCallback,
        onFinding: FindingCallback,
        cancel: CancelToken,
    ) -> None:
        """Compute the prompts one after the other and hand each result to `onFinding(index, finding)`.

        Raises:
            JobCancelled: Soon after `cancel` was requested.
            DSMError: If the run failed.
        """

    def close(self) -> None:
        """Give back processes and memory."""


class WorkerBackend:
    """Runs the model in the worker process, which starts with the first run and stays warm between runs.

    Args:
        model: Name of an installed model, or the path of a model folder.
        device: `"cpu"`, `"cuda"`, ...
        python: Interpreter of the worker; None for Slicer's own, or this one outside of Slicer.
        environment: Variables for the worker only.
    """

    def __init__(
        self,
        model: str = "dsm-small",
        *,
        device: str = "cpu",
        python: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._model = model
        self._device = device
        # PythonSlicer sets up the libraries that Slicer's interpreter needs; Slicer itself is no interpreter.
        self._python = python or shutil.which("PythonSlicer") or sys.executable
        self._environment = environment or {}
        self._client: WorkerClient | None = None
        self._provenance = Provenance(model, version=__version__)

    @property
    def provenance(self) -> Provenance:
        """Name, hash and device of the model."""
        return self._provenance

    @property
    def workerPid(self) -> int | None:
        """Process id of the running worker."""
        return self._client.pid if self._client is not None and self._client.alive else None

    def segment(
        self,
        volume: Volume,
        request: SegmentRequest,
        *,
        onProgress: ProgressCallback,
        onFinding: FindingCallback,
        cancel: CancelToken,
    ) -> None:
        """See `Backend.segment`. Model and volume stay in the worker, so a second run on them starts at once.

        A worker that does not stop within two seconds of a cancel is killed; the next run starts a new one.
        """
        entry = model_entry(find_model(self._model))
        run = _Run(self._runningClient(), onProgress, onFinding, cancel)
        done = run.load(str(entry.path.resolve()), self._device)
        self._provenance = Provenance(entry.name, entry.digest, __version__, done.device or self._device)
        run.segment(run.sendVolume(volume), request)

    def choose(self, model: str, device: str) -> None:
        """Take another model or device for the runs to come."""
        self._model, self._device = model, device

    def test(self) -> Ready:
        """Start the worker and load the model, to see whether it works; may be called on a helper thread.

        Returns:
            What the worker says about itself and the devices of this computer.

        Raises:
            DSMError: If there is no such model, or the worker or the model cannot be started.
        """
        entry = model_entry(find_model(self._model))
        client = self._runningClient()
        client.wait(client.submit(Load(id=client.new_id(), model=str(entry.path.resolve()), device=self._device)))
        client.poll()
        return client.ready

    def release(self) -> None:
        """Let the worker give back the memory of the model and of all encoded volumes."""
        if self._client is not None and self._client.alive:
            self._client.submit(Release(id=self._client.new_id()))

    @property
    def log(self) -> str:
        """The last lines that the worker wrote to its log."""
        return self._client.log if self._client is not None else ""

    def close(self) -> None:
        """End the worker."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _runningClient(self) -> WorkerClient:
        if self._client is not None and not self._client.alive:
            self.close()
        if self._client is None:
            self._client = WorkerClient(
                python=self._python, environment=self._environment, host=f"DSMSegment {__version__}"
            )
        return self._client


class _Run:
    """The requests of one run, one after the other."""

    def __init__(
        self, client: WorkerClient, onProgress: ProgressCallback, onFinding: FindingCallback, cancel: CancelToken
    ) -> None:
        self._client = client
        self._onProgress = onProgress
        self._onFinding = onFinding
        self._cancel = cancel

    def load(self, model: str, device: str) -> Done:
        return self._request(Load(id=self._client.new_id(), model=model, device=device))

    def sendVolume(self, volume: Volume) -> str:
        """Hand over the voxels and have them encoded; returns their key. The worker knows voxels that it has seen."""
        key = content_key(volume.array, volume.affine.tolist(), volume.modality)
        name = self._client.new_file(".npy")
        first, second, third, last = (tuple(row) for row in volume.affine.tolist())
        try:
            write_array(self._client.folder, name, volume.array)
            self._request(
                SetVolume(
                    id=self._client.new_id(),
                    key=key,
                    array=name,
                    affine=(first, second, third, last),
                    modality=volume.modality,
                    name=volume.name,
                )
            )
        except OSError as error:
            raise OutputError(
                f"The volume cannot be handed to the worker ({error.strerror}).",
                code="disk_full",
                hint=f"Free some space in {self._client.folder.parent}.",
            ) from error
        finally:
            (self._client.folder / name).unlink(missing_ok=True)
        return key

    def segment(self, volumeKey: str, request: SegmentRequest) -> None:
        items = tuple(
            PromptItem(
                id=str(index),
                text=text,
                file=self._client.new_file(".mask"),
                probability_file=self._client.new_file(".npy") if request.probabilities else "",
                uncertainty_file=self._client.new_file(".npy") if request.uncertainty else "",
            )
            for index, text in enumerate(request.prompts)
        )
        self._request(
            Segment(
                id=self._client.new_id(),
                volume_key=volumeKey,
                prompts=items,
                threshold=request.threshold,
                keep_largest=request.keepLargest,
                roi=(*request.roi.start, *request.roi.stop) if request.roi else None,
                mode="fast" if request.fast else "auto",
            )
        )

    def _request(self, request: Request) -> Done:
        jobId = self._client.submit(request)
        with self._cancel.calling(partial(self._client.cancel, jobId)):
            done = self._client.wait(jobId, on_event=self._take)
        self._client.poll()  # the same events again, meant for hosts without a thread: drop them
        return done

    def _take(self, event: Progress | Result) -> None:
        if isinstance(event, Progress):
            self._onProgress(JobProgress(event.stage, event.done, event.total, event.eta, event.note))
            return
        mask = read_mask(self._client.folder, event.file, event.size)
        probability = self._map(event.probability_file, event.probability_offset_ijk)
        uncertainty = self._map(event.uncertainty_file, event.uncertainty_offset_ijk)
        for name in (event.file, event.probability_file, event.uncertainty_file):
            if name:
                (self._client.folder / name).unlink(missing_ok=True)
        finding = Finding(
            mask=CroppedArray(mask, event.offset_ijk),
            found=event.found,
            score=event.score,
            volumeMl=event.volume_mm3 / 1000.0,
            seconds=event.seconds,
            threshold=event.threshold,
            warnings=event.warnings,
            probability=probability,
            uncertainty=uncertainty,
        )
        self._onFinding(int(event.prompt_id), finding)

    def _map(self, file: str, offset: Index3) -> CroppedArray | None:
        return CroppedArray(read_array(self._client.folder, file), offset) if file else None
