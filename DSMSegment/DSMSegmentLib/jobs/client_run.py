"""The requests of one run, to a worker or to a server: both take the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from dsm.client.jobs import JobClient
from dsm.core.boxes import Box, CroppedArray, Index3
from dsm.core.precision import AUTO
from dsm.core.volume import Volume
from dsm.errors import OutputError, WorkerError
from dsm.wire.arrays import content_key, read_array, read_mask, write_array
from dsm.wire.messages import Done, Load, Progress, PromptItem, Request, Result, Segment, SetVolume
from DSMSegmentLib.jobs.cancel_token import CancelToken
from DSMSegmentLib.jobs.job_progress import JobProgress
from DSMSegmentLib.jobs.request import SegmentRequest
from DSMSegmentLib.scene.finding import Finding

FindingCallback = Callable[[int, Finding], None]
ProgressCallback = Callable[[JobProgress], None]


class ClientRun:
    """Sends one request after the other and waits for each; see `Backend.segment` for the arguments and errors.

    Args:
        client: Of the worker or the server.
        onProgress: Called with each progress.
        onFinding: Called with the number of each prompt and what was found.
        cancel: Stops the run.
    """

    def __init__(
        self, client: JobClient, onProgress: ProgressCallback, onFinding: FindingCallback, cancel: CancelToken
    ) -> None:
        self._client = client
        self._onProgress = onProgress
        self._onFinding = onFinding
        self._cancel = cancel

    def load(self, model: str, device: str = "auto", precision: str = AUTO) -> Done:
        """Make a model ready."""
        return self._request(Load(id=self._client.new_id(), model=model, device=device, precision=precision))

    def sendVolume(self, volume: Volume, region: Box | None = None) -> str:
        """Hand over the voxels and have them encoded; returns their key. They are sent only where they are not kept.

        Args:
            volume: What to segment.
            region: Voxels in which masks are wanted under this key; None for all.
        """
        key = content_key(volume.array, volume.affine.tolist(), volume.modality)
        first, second, third, last = (tuple(row) for row in volume.affine.tolist())
        request = SetVolume(
            id="",
            key=key,
            array="",
            affine=(first, second, third, last),
            modality=volume.modality,
            name=volume.name,
        )
        if self._isKept(request):
            return key  # the whole volume serves a region, too
        if region is not None and volume.modality == "CT":  # an MR image is encoded whole in any case
            key += f" {region.start} {region.stop}"
            request = replace(request, key=key, region=region)
            if self._isKept(request):
                return key
        name = self._client.new_file(".npy")
        try:
            write_array(self._client.folder, name, volume.array)
            self._request(replace(request, id=self._client.new_id(), array=name))
        except OSError as error:
            raise OutputError(
                f"The volume cannot be handed on ({error.strerror}).",
                code="disk_full",
                hint=f"Free some space in {self._client.folder.parent}.",
            ) from error
        finally:
            with suppress(OSError):  # Windows: a server that hangs may still be sent it; it goes with the folder
                (self._client.folder / name).unlink(missing_ok=True)
        return key

    def _isKept(self, request: SetVolume) -> bool:
        """Ask whether the other side still has a volume under its key."""
        try:
            self._request(replace(request, id=self._client.new_id()))
        except WorkerError as error:
            if error.code != "no_volume":
                raise
            return False
        return True

    def segment(self, volumeKey: str, request: SegmentRequest) -> None:
        """Have the prompts segmented."""
        items = tuple(
            PromptItem(
                id=str(index),
                text=text,
                file=self._client.new_file(),
            )
            for index, text in enumerate(request.prompts)
        )
        self._request(
            Segment(
                id=self._client.new_id(),
                volume_key=volumeKey,
                prompts=items,
                options=request.options,
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
