"""Loaded model that encodes a volume once and segments any number of prompts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from dsm.core.boxes import Box
from dsm.core.precision import AUTO
from dsm.core.scan_check import check_scan
from dsm.core.volume import Volume
from dsm.inference.auto_precision import measured_precision, remembered_precision
from dsm.inference.body_grid import make_working_grid
from dsm.inference.click_scan import ClickSegmenter
from dsm.inference.clicked_objects import ClickedObjects
from dsm.inference.device import checked_device
from dsm.inference.encode import encode_tensor
from dsm.inference.encoded_volume import EncodedVolume
from dsm.inference.encoding_cache import EncodingCache, encoding_keys
from dsm.inference.estimate import Estimate, estimate_encoding, seconds_per_megavoxel
from dsm.inference.fast_network import fast_on_cpu
from dsm.inference.int8_network import int8_on_cpu
from dsm.inference.organ_order import body_notes, laterality_notes, order_notes, sketch_organs
from dsm.inference.other_models import OtherModels, OtherScans
from dsm.inference.precision import autocast_for, check_precision, is_available, to_float32
from dsm.inference.preprocess import prepare
from dsm.inference.retained_memory import retain_freed_memory
from dsm.inference.scan import Scan
from dsm.models.calibration import Calibration
from dsm.models.config import ModelConfig
from dsm.models.learned_elsewhere import other_models
from dsm.models.store import ModelEntry, find_model, verify_model
from dsm.models.weights import load_model
from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.progress import ProgressCallback, ignore_progress
from dsm.text.bank import EmbeddingBank
from dsm.text.embed import PromptEmbedder

__all__ = ["Scan", "Segmenter"]


class Segmenter:
    """Network, configuration and text embeddings.

    Not safe for two threads at once; a process each is.

    Args:
        net: In evaluation mode, on its device.
        config: Of `net`.
        embedder: Turns prompts into text vectors.
        entry: Where it came from, for reports.
        cache: Encodings on disk; by default where `DSM_CACHE_DIR` says, if it does.
        precision: Of the encoding and of the denoiser of visual prompts, see `dsm.inference.precision`.
        calibration: Presence decision and score of learned names; without one, both are the network's own opinion.
        click_network: Segments clicked objects; None for a model that takes no clicks.
        others: Models that segment the names that they have learned and this one has not; None for no such models.

    Example:
        >>> from dsm import read_volume
        >>> segmenter = Segmenter.from_pretrained("dsm-small")
        >>> scan = segmenter.encode(read_volume("scan.nii.gz"))
        >>> [result.prompt.name for result in scan.segment("liver; left kidney")]
        ['liver', 'left kidney']
    """

    def __init__(
        self,
        net: DSMNet,
        config: ModelConfig,
        embedder: PromptEmbedder,
        *,
        entry: ModelEntry | None = None,
        cache: EncodingCache | None = None,
        precision: str = "float32",
        calibration: Calibration | None = None,
        click_network: ClickSegmenter | None = None,
        others: OtherModels | None = None,
    ) -> None:
        self.net = net
        self.config = config
        self.embedder = embedder
        self.entry = entry
        self.cache = cache or EncodingCache.from_environment()
        self.precision = precision
        self.calibration = calibration
        self.click_network = click_network
        self.others = others

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = AUTO,
        others: Sequence[ModelEntry] | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Segmenter:
        """Load a model after checking every file of it.

        Args:
            name_or_path: A name such as `"dsm-small"`, or a model folder.
            device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` or `"auto"`.
            precision: `"float32"`; `"int8"` for an encoding on a CPU that is a third cheaper, with masks that agree to
                a Dice of 0.995; `"bfloat16"` where the device computes in it, as much cheaper, with 0.999
                (`docs/explanation/performance.md`); or `"auto"` for the fastest on this device: measured the first
                time, in a few seconds, and remembered (`dsm.inference.auto_precision`).
            others: Models that segment the names that they have learned and this one has not: each is loaded, and
                encodes the volume, when such a name is prompted. By default the other installed ones; none for a model
                that is not installed, but given as a folder.
            progress: Stages `"load"` and, the first time, `"measure"`; may raise `JobCancelled`.

        Raises:
            ModelNotFoundError: If there is no such model.
            WeightsError: If a file of it is damaged or belongs to another version.
            DeviceError: If this machine has no such device, or the device not this precision.
        """
        progress("load", 0, 2)
        folder = find_model(name_or_path)
        entry = verify_model(folder)
        checked = checked_device(device)
        if precision == AUTO:
            precision = remembered_precision(entry.digest, checked) or AUTO
        else:
            check_precision(precision, checked)
        progress("load", 1, 2)
        net, config = _load_network(folder, checked, precision)
        if precision == AUTO:
            int8 = _load_network(folder, checked, "int8")[0] if is_available("int8", checked) else None
            precision = measured_precision(net, int8, config, digest=entry.digest, progress=progress)
            net = int8 if precision == "int8" and int8 is not None else net
        embedder = PromptEmbedder(EmbeddingBank.of_model(folder), tower=config.text_tower)
        progress("load", 2, 2)

        def load_other(other: ModelEntry, progress: ProgressCallback) -> Segmenter:
            return cls.from_pretrained(other.path, device=checked, precision=precision, others=(), progress=progress)

        return cls(
            net,
            config,
            embedder,
            entry=entry,
            precision=precision,
            calibration=Calibration.load(folder, model_digest=entry.digest),
            click_network=ClickSegmenter.from_folder(folder) if entry.has_clicks else None,
            others=OtherModels(tuple(other_models(folder) if others is None else others), load_other),
        )

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.net.organ_text.device

    def estimate(self, volume: Volume) -> Estimate:
        """Return the predicted time and memory of an encoding; measuring takes a tenth of that time."""
        check_scan(volume)
        with autocast_for(self.precision, self.device):
            return estimate_encoding(self.net, self.config, volume)

    def measure(self, *, progress: ProgressCallback = ignore_progress) -> float:
        """Return the seconds that a million voxels of the working grid take, from encoding two small blocks.

        Args:
            progress: Stage `"measure"`; may raise `JobCancelled`.
        """
        with autocast_for(self.precision, self.device):
            return seconds_per_megavoxel(self.net, self.config, progress=progress)

    def encode(
        self,
        volume: Volume,
        *,
        region: Box | None = None,
        max_slab: int | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Scan:
        """Encode a volume.

        Args:
            volume: CT or MR.
            region: Voxels that matter: of a CT, only they and 6 cm around them are encoded, and nothing is found
                elsewhere; unless an encoding of the whole volume is in the cache, which then serves. None for the whole
                volume.
            max_slab: Most working voxels along the body axis that the fine stages see at a time. By default everything,
                or what the free memory allows. The result is the same to 1e-3.
            progress: Stages `"load"` (cropping and resampling) and `"encode"`; may raise `JobCancelled`.

        Raises:
            OutOfMemoryError: If this machine cannot hold it.
            InputError: If it cannot be a scan of its modality, see `dsm.core.scan_check`.
        """
        scan = self._opened(volume, region, max_slab)
        scan.encode(progress)
        return scan

    def open(self, volume: Volume, *, region: Box | None = None) -> Scan:
        """Prepare a volume without encoding it: the first prompt without clicks does that.

        Args:
            volume: CT or MR.
            region: See `encode`.

        Raises:
            InputError: If it cannot be a scan of its modality, see `dsm.core.scan_check`.
        """
        return self._opened(volume, region, None)

    def _opened(self, volume: Volume, region: Box | None, max_slab: int | None) -> Scan:
        return Scan(
            volume=volume,
            _input_notes=check_scan(volume),
            _encode=lambda progress: self._encoded(volume, region, max_slab, progress),
            _net=self.net,
            _config=self.config,
            _embedder=self.embedder,
            _precision=self.precision,
            _calibration=self.calibration,
            _clicked=ClickedObjects(volume, self.click_network) if self.click_network is not None else None,
            _others=OtherScans(self.others, volume, region) if self.others is not None else None,
        )

    def _encoded(
        self, volume: Volume, region: Box | None, max_slab: int | None, progress: ProgressCallback
    ) -> EncodedVolume:
        began = time.perf_counter()
        progress("load", 0, 1)
        keys = self._cache_keys(volume, region)
        encoding, cached_region = self._cached(keys)
        num_slabs = 1
        if encoding is None:
            with retain_freed_memory():
                prepared = prepare(
                    volume, spacing_mm=self.config.spacing_mm, windows_hu=self.config.windows_hu, region=region
                )
                progress("load", 1, 1)
                grid = prepared.grid
                with autocast_for(self.precision, self.device):
                    encoding, num_slabs = encode_tensor(
                        self.net, self.config, prepared.tensor, max_slab=max_slab, progress=progress
                    )
                encoding = to_float32(encoding)
            if self.cache and keys:
                self.cache.keep(keys[region], encoding)
        else:
            _, grid = make_working_grid(volume, spacing_mm=self.config.spacing_mm, region=cached_region)
            for stage, done in (("load", 1), ("encode", 0), ("encode", 1)):
                progress(stage, done, 1)
        organs = sketch_organs(self.net, encoding, self.config.organs, grid, volume)
        notes = body_notes(volume) + (
            order_notes({name: organ.centre_mm for name, organ in organs.items()})
            or laterality_notes(organs, self.calibration.laterality if self.calibration else ())
        )
        return EncodedVolume(encoding, grid, num_slabs, time.perf_counter() - began, notes, organs)

    def _cache_keys(self, volume: Volume, region: Box | None) -> dict[Box | None, str]:
        """Empty where nothing is cached: without its files, nobody knows whether a network is the same."""
        if self.cache is None or self.entry is None:
            return {}
        return encoding_keys(volume, model_digest=self.entry.digest, precision=self.precision, region=region)

    def _cached(self, keys: Mapping[Box | None, str]) -> tuple[Encoding | None, Box | None]:
        """The first encoding that was kept, and the region of it."""
        for region, key in keys.items():
            if self.cache and (encoding := self.cache.load(key, device=self.device)):
                return encoding, region
        return None, None


def _load_network(folder: Path, device: torch.device, precision: str) -> tuple[DSMNet, ModelConfig]:
    net, config = load_model(folder, device=device)
    if device.type == "cpu":
        net = fast_on_cpu(net)
    return (int8_on_cpu(net) if precision == "int8" else net), config
