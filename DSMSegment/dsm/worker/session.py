"""Worker session of one client: folder, model, encoded volumes, and jobs."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dsm.core.boxes import Box, CroppedArray, Index3
from dsm.core.click import Click
from dsm.core.memory import peak_memory_bytes
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO, PRECISIONS
from dsm.core.prompt import Prompt
from dsm.core.volume import Volume
from dsm.errors import InputError, ModelNotFoundError, ProtocolError, WeightsError
from dsm.models.store import find_model, verify_model
from dsm.progress import ProgressCallback
from dsm.wire.arrays import (
    MASK_SUFFIX,
    PROBABILITY_SUFFIX,
    UNCERTAINTY_SUFFIX,
    content_key,
    read_array,
    resolve_in_folder,
    write_array,
    write_mask,
)
from dsm.wire.messages import (
    KEPT_VOLUMES,
    Done,
    Load,
    Measure,
    PromptItem,
    Release,
    Request,
    Result,
    Segment,
    SetVolume,
    WorkerMessage,
)
from dsm.worker.job_progress import JobProgress
from dsm.worker.volume_cache import VolumeCache

if TYPE_CHECKING:
    from dsm.core.result import PromptResult


class WorkerScan(Protocol):
    """Protocol of a scan, as of `dsm.inference.segmenter.Scan`."""

    @property
    def is_encoded(self) -> bool:
        """True once the volume is encoded."""

    def encode(self, progress: ProgressCallback) -> object:
        """Encode the volume, unless that was done."""

    def segment(
        self,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        progress: ProgressCallback,
        on_result: Callable[[PromptResult], None],
    ) -> list[PromptResult]:
        """Segment prompts; `on_result` gets each as soon as it is finished."""


class WorkerEngine(Protocol):
    """Protocol of an engine, as of `dsm.inference.segmenter.Segmenter`."""

    @property
    def device(self) -> object:
        """Device of the network, as PyTorch names it."""

    def measure(self, *, progress: ProgressCallback) -> float:
        """Return the seconds that a million voxels of the working grid take."""

    def open(self, volume: Volume, *, region: Box | None) -> WorkerScan:
        """Prepare a volume, or a region of it, for prompts."""


class EngineFactory(Protocol):
    """Factory of an engine from a model folder."""

    def __call__(self, folder: Path, *, device: str, precision: str, progress: ProgressCallback) -> WorkerEngine:
        """Load the model in `folder` on `device`; `precision` as in `Load`."""


def load_segmenter(folder: Path, *, device: str, precision: str, progress: ProgressCallback) -> WorkerEngine:
    """Load the real engine; PyTorch is imported here and not before."""
    progress("load", 0, 1)
    from dsm.inference.segmenter import Segmenter  # noqa: PLC0415  (seconds: `ready` does not wait for it)

    return Segmenter.from_pretrained(folder, device=device, precision=precision, progress=progress)


@dataclass(frozen=True, slots=True)
class _Model:
    engine: WorkerEngine
    digest: str
    text_bank_sha256: str
    clicks_sha256: str
    wanted_device: str
    wanted_precision: str

    @property
    def device(self) -> str:
        return str(self.engine.device)

    @property
    def wanted(self) -> tuple[str, str, str, str, str]:
        return self.digest, self.text_bank_sha256, self.clicks_sha256, self.wanted_device, self.wanted_precision


class Session:
    """Session of one host, with one job at a time.

    Args:
        folder: The host's folder; apart from the model, nothing is read or written elsewhere.
        send: Sends a message to the host.
        load_engine: Factory of the engine.
        max_volumes: Number of volumes that are kept.
    """

    def __init__(
        self,
        folder: Path,
        send: Callable[[WorkerMessage], None],
        *,
        load_engine: EngineFactory = load_segmenter,
        max_volumes: int = KEPT_VOLUMES,
    ) -> None:
        self._folder = folder
        self._send = send
        self._load_engine = load_engine
        self._model: _Model | None = None
        self._volumes: VolumeCache[WorkerScan] = VolumeCache(max_volumes)

    def run(self, job: Request, is_cancelled: Callable[[], bool]) -> Done:
        """Run a job; its progress and results are sent, the closing message is returned.

        Raises:
            JobCancelled: If the host cancelled it.
            DSMError: If it cannot be done; the session serves the next job.
        """
        start_s = time.monotonic()
        progress = JobProgress(job.id, self._send, is_cancelled)
        progress.check()
        cached, speed = False, 0.0
        if isinstance(job, Load):
            cached = self._load(job, progress)
        elif isinstance(job, Measure):
            speed = self._loaded().engine.measure(progress=progress)
        elif isinstance(job, SetVolume):
            cached = self._set_volume(job, progress)
        elif isinstance(job, Segment):
            cached = self._segment(job, progress)
        else:
            cached = self._release(job)
        device = self._model.device if self._model else ""
        return Done(
            id=job.id,
            seconds=time.monotonic() - start_s,
            device=device,
            peak_memory=peak_memory_bytes(device),
            cached=cached,
            seconds_per_megavoxel=speed,
        )

    def _load(self, job: Load, progress: JobProgress) -> bool:
        _check_known("precision", job.precision, AUTO, *PRECISIONS)
        entry = verify_model(find_model(job.model))
        if job.sha256 and job.sha256 != entry.digest:
            raise WeightsError(
                f"The model in {entry.path} is not the one that the host expects.",
                hint="Install the model again, or update the host.",
                details=f"digest {entry.digest}, expected {job.sha256}",
            )
        loaded = self._model
        wanted = (entry.digest, entry.text_bank_sha256, entry.clicks_sha256, job.device, job.precision)
        if loaded and loaded.wanted == wanted:
            return True
        self._free()  # first, so that two models never need memory at the same time
        engine = self._load_engine(entry.path, device=job.device, precision=job.precision, progress=progress)
        self._model = _Model(engine, *wanted)
        return False

    def _loaded(self) -> _Model:
        if self._model is None:
            raise ModelNotFoundError("No model is loaded.", hint="Load a model first.")
        return self._model

    def _set_volume(self, job: SetVolume, progress: JobProgress) -> bool:
        model = self._loaded()
        if job.modality not in ("CT", "MR"):
            raise InputError(f"The modality '{job.modality[:40]}' is neither CT nor MR.", code="input.modality")
        if not job.array:
            return self._encode(self._kept(job.key), job, progress)
        array = read_array(self._folder, job.array)
        volume = Volume(array, np.asarray(job.affine), modality=job.modality, name=job.name)
        progress.check()
        content = content_key(volume.array, job.affine, job.modality)
        region = job.region.clip(volume.shape) if job.region is not None else None
        if region is not None and region.is_empty:
            raise InputError("The region lies outside of the volume.", code="input.roi")
        whole = self._volumes.find(content)
        if (whole and whole.is_encoded) or job.modality != "CT":  # an MR image is encoded whole in any case
            region = None
        if region is not None:
            content = f"{content} {region.start} {region.stop}"
        if not self._volumes.name(job.key, content):
            self._volumes.make_room()
            scan = model.engine.open(volume, region=region)
            self._encode(scan, job, progress)
            self._volumes.put(job.key, content, scan)
            return False
        return self._encode(self._kept(job.key), job, progress)

    def _encode(self, scan: WorkerScan, job: SetVolume, progress: JobProgress) -> bool:
        """Encode a volume if that is asked for; returns whether it was encoded already."""
        if scan.is_encoded:
            return True
        if job.encode:
            scan.encode(progress)
        return False

    def _kept(self, key: str) -> WorkerScan:
        scan = self._volumes.get(key)
        if scan is None:
            raise InputError(
                f"The volume '{key[:80]}' is not kept (any more).", code="no_volume", hint="Send it again."
            )
        return scan

    def _segment(self, job: Segment, progress: JobProgress) -> bool:
        scan = self._kept(job.volume_key)
        job.check_prompts()
        items = _items_by_prompt(job.prompts, self._folder)
        waiting = {_identity(prompt): wanted for prompt, wanted in items}

        def send_result(result: PromptResult) -> None:
            for item in waiting.pop(_identity(result.prompt)):
                progress.check()
                self._send(self._write(result, item, job.id))

        scan.segment(
            [prompt for prompt, _ in items],
            job.options,
            progress=progress,
            on_result=send_result,
        )
        return False

    def _write(self, result: PromptResult, item: PromptItem, job_id: str) -> Result:
        mask = CroppedArray.from_mask(result.mask.array, result.mask.offset_ijk)
        voxels = mask.num_voxels
        if voxels:
            write_mask(self._folder, item.file + MASK_SUFFIX, mask.array)
        probability_file, probability_offset = self._write_map(item.file + PROBABILITY_SUFFIX, result.probability)
        uncertainty_file, uncertainty_offset = self._write_map(item.file + UNCERTAINTY_SUFFIX, result.uncertainty)
        return Result(
            id=job_id,
            prompt_id=item.id,
            name=result.prompt.name,
            kind=result.prompt.kind,
            file=item.file + MASK_SUFFIX if voxels else "",
            offset_ijk=mask.offset_ijk if voxels else (0, 0, 0),
            size=mask.box.size,
            voxels=voxels,
            volume_mm3=result.volume_ml * 1000,
            score=None if result.score is None else float(result.score),
            found=result.found,
            threshold=float(result.threshold),
            seconds=float(result.seconds),
            warnings=result.notes,
            suggestions=result.prompt.suggestions,
            name_status=result.name_status,
            guess=result.guess,
            model=result.model,
            model_sha256=result.model_sha256,
            probability_file=probability_file,
            probability_offset_ijk=probability_offset,
            uncertainty_file=uncertainty_file,
            uncertainty_offset_ijk=uncertainty_offset,
        )

    def _write_map(self, file: str, map_: CroppedArray | None) -> tuple[str, Index3]:
        """Write a map if there is one; returns the file, empty for none, and where the map starts."""
        if map_ is None:
            return "", (0, 0, 0)
        write_array(self._folder, file, map_.array)
        return file, map_.offset_ijk

    def _release(self, job: Release) -> bool:
        if job.volume_key:
            self._volumes.drop(job.volume_key)
            _collect()
        else:
            self._free()
        return False

    def _free(self) -> None:
        self._volumes.clear()
        self._model = None
        _collect()


def _collect() -> None:
    """Give memory back to the system and to the GPU's other users."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _check_known(field: str, value: str, *known: str) -> None:
    """Check that a value of a message is one of those that this worker knows."""
    if value not in known:
        hint = f"Use {' or '.join(map(repr, known))}."
        raise ProtocolError(f"This worker knows no {field} '{value[:40]}'.", code="unsupported", hint=hint)


def _identity(prompt: Prompt) -> tuple[str, str, tuple[Click, ...]]:
    return prompt.name, prompt.kind, prompt.clicks


def _items_by_prompt(items: Sequence[PromptItem], folder: Path) -> list[tuple[Prompt, list[PromptItem]]]:
    """Group the items by prompt: prompts that mean the same are computed once, and each gets a result."""
    found: dict[tuple[str, str, tuple[Click, ...]], tuple[Prompt, list[PromptItem]]] = {}
    for item in items:
        resolve_in_folder(folder, item.file)
        found.setdefault(_identity(item.prompt), (item.prompt, []))[1].append(item)
    if len({item.file.lower() for item in items}) < len(items):  # some file systems do not tell "a" from "A"
        raise ProtocolError("Two prompts of a segment message share a file name.")
    return list(found.values())
