"""A model on the other side of the wire, with the face of `dsm.inference.segmenter.Segmenter`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dsm.client.cancel_token import CancelToken
from dsm.client.jobs import JobClient
from dsm.core.boxes import Box, CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import DSMError, OutputError
from dsm.wire.arrays import array_of, content_key, unpack_mask
from dsm.wire.messages import Done, Load, Measure, Progress, PromptItem, Release, Request, Result, Segment, SetVolume

OnProgress = Callable[[Progress], None]
OnResult = Callable[[PromptResult], None]

_OPTIONS = SegmentOptions()


class ClientSession:
    """Sends one request after the other and waits for each: the same to a worker process and to a server.

    Every method raises `JobCancelled` soon after `cancel` was requested, the error of the other side if it fails or
    refuses, and `WorkerError` if it is lost.

    Args:
        client: Of the worker or the server.
        on_progress: Called with each progress, on the thread that waits.
        cancel: Stops what runs.

    Example::

        with WorkerClient() as client:
            session = ClientSession(client)
            session.load("dsm-small")
            scan = session.encode(volume)
            results = scan.segment(parse_prompts("liver; spleen"), SegmentOptions(fast=True))
    """

    def __init__(
        self, client: JobClient, *, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> None:
        self.client = client
        self._on_progress = on_progress
        self._cancel = cancel or CancelToken()

    def load(self, model: str, *, device: str = "auto", sha256: str = "", precision: str = AUTO) -> Done:
        """Make a model ready; with an empty name, whatever the other side has. See `Load`."""
        load = Load(id=self.client.new_id(), model=model, device=device, sha256=sha256, precision=precision)
        return self.run(load)

    def measure(self) -> float:
        """Return the seconds that a million voxels of the working grid take."""
        return self.run(Measure(id=self.client.new_id())).seconds_per_megavoxel

    def encode(self, volume: Volume, *, region: Box | None = None) -> ClientScan:
        """Have a volume encoded. Its voxels are sent only where the other side does not have them.

        Args:
            volume: CT or MR.
            region: Voxels in which masks are wanted: of a CT that is not there yet, only they and what is near them are
                encoded. None for the whole volume.

        Raises:
            OutputError: If the voxels cannot be handed on: the disk is full.
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
        if self._is_kept(request):
            return ClientScan(self, volume, key)  # the whole volume serves a region, too
        if region is not None and volume.modality == "CT":  # an MR image is encoded whole in any case
            request = replace(request, key=f"{key} {region.start} {region.stop}", region=region)
            if self._is_kept(request):
                return ClientScan(self, volume, request.key)
        try:
            array = self.client.put(volume.array)
        except OSError as error:
            raise OutputError(
                f"The volume cannot be handed on ({error.strerror}).",
                code="disk_full",
                hint="Free some space where temporary files are.",
            ) from error
        try:
            self.run(replace(request, id=self.client.new_id(), array=array))
        finally:
            self.client.drop(array)
        return ClientScan(self, volume, request.key)

    def run(self, request: Request, on_result: Callable[[Result], None] | None = None) -> Done:
        """Send a request and wait until it is done."""

        def take(event: Progress | Result) -> None:
            if isinstance(event, Result):
                if on_result is not None:
                    on_result(event)
            elif self._on_progress is not None:
                self._on_progress(event)

        job_id = self.client.submit(request)
        with self._cancel.calling(partial(self.client.cancel, job_id)):
            done = self.client.wait(job_id, on_event=take)
        self.client.poll()  # events of jobs that nobody waits for
        return done

    def _is_kept(self, request: SetVolume) -> bool:
        """Ask whether the other side still has a volume under its key."""
        try:
            self.run(replace(request, id=self.client.new_id()))
        except DSMError as error:
            if error.code != "no_volume":
                raise
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class ClientScan:
    """A volume that the other side has encoded; each `segment` costs little.

    Args:
        session: Made it.
        volume: Results come on its grid.
        key: Of the volume on the other side.
    """

    session: ClientSession
    volume: Volume
    key: str

    def segment(
        self,
        prompts: Sequence[Prompt],
        options: SegmentOptions = _OPTIONS,
        *,
        on_result: OnResult | None = None,
    ) -> list[PromptResult]:
        """Find what the prompts name.

        Args:
            prompts: As `dsm.text.prompt.parse_prompts` read them; each name once.
            options: How they are segmented.
            on_result: Called with each result as soon as it is there.

        Returns:
            One result a prompt, in their order.
        """
        client = self.session.client
        items = tuple(
            PromptItem(id=str(number), prompt=prompt, file=client.new_file()) for number, prompt in enumerate(prompts)
        )
        results: dict[str, PromptResult] = {}

        def take(message: Result) -> None:
            result = results[message.prompt_id] = self._result(message, prompts[int(message.prompt_id)])
            if on_result is not None:
                on_result(result)

        request = Segment(id=client.new_id(), volume_key=self.key, prompts=items, options=options)
        self.session.run(request, take)
        return [results[item.id] for item in items]

    def release(self) -> None:
        """Let the other side forget the volume; does not wait for that."""
        client = self.session.client
        if client.alive:
            client.submit(Release(id=client.new_id(), volume_key=self.key))

    def _result(self, message: Result, prompt: Prompt) -> PromptResult:
        client = self.session.client

        def map_of(file: str, offset: tuple[int, int, int]) -> CroppedArray | None:
            return CroppedArray(array_of(client.take(file)), offset) if file else None

        mask = unpack_mask(client.take(message.file) if message.file else b"", message.size)
        return PromptResult(
            prompt=prompt,
            mask=CroppedArray(mask, message.offset_ijk),
            shape=self.volume.shape,
            found=message.found,
            score=message.score,
            volume_ml=message.volume_mm3 / 1000.0,
            seconds=message.seconds,
            threshold=message.threshold,
            probability=map_of(message.probability_file, message.probability_offset_ijk),
            uncertainty=map_of(message.uncertainty_file, message.uncertainty_offset_ijk),
            warnings=message.warnings,
        )
