"""Model in a worker or on a server, with the interface of `dsm.inference.segmenter.Segmenter`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dsm.client.cancel_token import CancelToken
from dsm.client.jobs import JobClient, drain
from dsm.core.boxes import Box, CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import DSMError, OutputError
from dsm.wire.arrays import array_of, content_key, unpack_mask
from dsm.wire.messages import (
    Done,
    Load,
    Measure,
    Progress,
    PromptItem,
    Release,
    Request,
    Result,
    ResultMetadata,
    Segment,
    SetVolume,
)

OnProgress = Callable[[Progress], None]
OnResult = Callable[[PromptResult], None]

_OPTIONS = SegmentOptions()


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Contents of the files of a result; empty for those that it does not have.

    Args:
        mask: As `dsm.wire.arrays.pack_mask` packs it.
        probability: A `.npy` file.
        uncertainty: A `.npy` file.
    """

    mask: bytes
    probability: bytes
    uncertainty: bytes


class ClientSession:
    """Session with a worker process or a server; each call waits for its result.

    Every method raises `JobCancelled` soon after `cancel` was requested, the error of the other side if it fails or
    refuses, and `WorkerError` if it is lost.

    Args:
        client: Client of the worker or the server.
        on_progress: Called with each progress, on the thread that waits.
        cancel: Cancellation of the running request.

    Example::

        with WorkerClient() as client:
            session = ClientSession(client)
            session.load("dsm-small")
            scan = session.encode(volume)
            results = scan.segment(parse_prompts("liver; spleen"), SegmentOptions(fast=True))
            clicked = replace(parse_prompts("schwannoma")[0], clicks=(Click((12.5, -30, 88)),))
            result = session.open(volume).segment([clicked])[0]
    """

    def __init__(
        self, client: JobClient, *, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> None:
        self.client = client
        self._on_progress = on_progress
        self._cancel = cancel or CancelToken()

    def load(self, model: str, *, device: str = "auto", sha256: str = "", precision: str = AUTO) -> Done:
        """Load a model; an empty name stands for the model of the server. See `Load`."""
        load = Load(id=self.client.new_id(), model=model, device=device, sha256=sha256, precision=precision)
        return self.run(load)

    def measure(self) -> float:
        """Return the seconds that a million voxels of the working grid take."""
        return self.run(Measure(id=self.client.new_id())).seconds_per_megavoxel

    def encode(self, volume: Volume, *, region: Box | None = None) -> ClientScan:
        """Encode a volume. Its voxels are sent only if the other side does not have them.

        Args:
            volume: CT or MR.
            region: Voxels in which masks are wanted: of a CT that is not there yet, only they and what is near them are
                encoded. None for the whole volume.

        Raises:
            OutputError: If the voxels cannot be written: the disk is full.
        """
        return self._place(volume, region, encode=True)

    def open(self, volume: Volume, *, region: Box | None = None) -> ClientScan:
        """Prepare a volume for clicks without encoding it: the first prompt without clicks does that.

        Args:
            volume: CT or MR.
            region: A region that may have been encoded before.

        Raises:
            OutputError: If the voxels cannot be written: the disk is full.
        """
        request = replace(_request(volume), encode=False)
        regional = _in_region(request, region) if region is not None else request
        for known in (request, regional):
            if self._known(known) is not None:
                return ClientScan(self, volume, known.key)
        self._send(volume, request)
        return ClientScan(self, volume, request.key)

    def prepare(self, volume: Volume, prompts: Sequence[Prompt], *, region: Box | None = None) -> ClientScan:
        """Prepare a volume for prompts, which then encode it by the models that have learned them, or need no encoding.

        Args:
            volume: CT or MR.
            prompts: What will be prompted; for clicks alone, the region is no reason to send the volume again.
            region: See `encode`.

        Raises:
            OutputError: If the voxels cannot be written: the disk is full.
        """
        by_name = any(not prompt.clicks for prompt in prompts)
        return self._place(volume, region, encode=False) if by_name else self.open(volume, region=region)

    def _place(self, volume: Volume, region: Box | None, *, encode: bool) -> ClientScan:
        whole = replace(_request(volume), encode=encode)
        if region is None or volume.modality != "CT":  # an MR image is encoded whole in any case
            if self._known(whole) is None:
                self._send(volume, whole)
            return ClientScan(self, volume, whole.key)
        if self._known(replace(whole, encode=False)):
            return ClientScan(self, volume, whole.key)  # the encoding of the whole volume serves a region, too
        part = _in_region(whole, region)
        if self._known(part) is None:
            self._send(volume, part)
        return ClientScan(self, volume, part.key)

    def _send(self, volume: Volume, request: SetVolume) -> None:
        """Send the voxels of a volume."""
        try:
            array = self.client.put(volume.array)
        except OSError as error:
            raise OutputError(
                f"The volume cannot be written ({error.strerror}).",
                code="disk_full",
                hint="Free some space where temporary files are.",
            ) from error
        try:
            self.run(replace(request, id=self.client.new_id(), array=array))
        finally:
            self.client.drop(array)

    def run(self, request: Request, on_result: Callable[[Result], None] | None = None) -> Done:
        """Send a request and wait until it is done."""

        def on_event(event: Progress | Result) -> None:
            if isinstance(event, Result):
                if on_result is not None:
                    on_result(event)
            elif self._on_progress is not None:
                self._on_progress(event)

        return drain(self.events(request), on_event)

    def events(self, request: Request) -> Generator[Progress | Result, None, Done]:
        """Send a request and yield its events until it is done; `on_progress` is not called."""
        self._cancel.check()
        job_id = self.client.submit(request)
        try:
            with self._cancel.calling(partial(self.client.cancel, job_id)):
                return (yield from self.client.events(job_id))
        finally:
            self.client.poll()  # events of jobs that nobody waits for

    def take(self, result: Result) -> ResultFiles:
        """Return the files of a result; they are then gone on the other side."""
        names = (result.file, result.probability_file, result.uncertainty_file)
        return ResultFiles(*(self.client.take(name) if name else b"" for name in names))

    def _known(self, request: SetVolume) -> bool | None:
        """Ask whether the other side has a volume encoded; None where it does not have it at all."""
        try:
            return self.run(replace(request, id=self.client.new_id())).cached
        except DSMError as error:
            if error.code != "no_volume":
                raise
            return None


def _request(volume: Volume) -> SetVolume:
    """Return a request about a volume, without its voxels."""
    rows = volume.affine.tolist()
    first, second, third, last = (tuple(row) for row in rows)
    return SetVolume(
        id="",
        key=content_key(volume.array, rows, volume.modality),
        array="",
        affine=(first, second, third, last),
        modality=volume.modality,
        name=volume.name,
    )


def _in_region(request: SetVolume, region: Box) -> SetVolume:
    return replace(request, key=f"{request.key} {region.start} {region.stop}", region=region)


@dataclass(frozen=True, slots=True, eq=False)
class ClientScan:
    """Volume that the other side has; each `segment` costs little once it is encoded, and with clicks at once.

    Args:
        session: Session that sent it.
        volume: Volume; results are on its grid.
        key: Key of the volume on the other side.
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
        """Segment the prompted structures.

        Args:
            prompts: Parsed prompts (`dsm.text.prompt.parse_prompts`); each name once, or with different clicks.
            options: Options of the run.
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
        """Release the volume on the other side, without waiting."""
        client = self.session.client
        if client.alive:
            client.submit(Release(id=client.new_id(), volume_key=self.key))

    def _result(self, message: Result, prompt: Prompt) -> PromptResult:
        return prompt_result(message, self.session.take(message), prompt, self.volume.shape)


def prompt_result(
    message: ResultMetadata, files: ResultFiles, prompt: Prompt, shape: tuple[int, int, int]
) -> PromptResult:
    """Return the result that a message and its files describe.

    Args:
        message: Numbers and texts.
        files: Voxels.
        prompt: What was asked for.
        shape: Of the volume.

    Raises:
        ProtocolError: If the voxels are damaged.
    """

    def map_of(file: bytes, offset: tuple[int, int, int]) -> CroppedArray | None:
        return CroppedArray(array_of(file), offset) if file else None

    return PromptResult(
        prompt=prompt,
        mask=CroppedArray(unpack_mask(files.mask, message.size), message.offset_ijk),
        shape=shape,
        found=message.found,
        score=message.score,
        volume_ml=message.volume_mm3 / 1000.0,
        seconds=message.seconds,
        threshold=message.threshold,
        probability=map_of(files.probability, message.probability_offset_ijk),
        uncertainty=map_of(files.uncertainty, message.uncertainty_offset_ijk),
        warnings=message.warnings,
        name_status=message.name_status,
        guess=message.guess,
        model=message.model,
        model_sha256=message.model_sha256,
    )
