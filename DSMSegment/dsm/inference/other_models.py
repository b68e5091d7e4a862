"""Names that a model has not learned, segmented by another installed model that has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dsm.core.boxes import Box
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.models.learned_elsewhere import entry_that_learned
from dsm.models.store import ModelEntry, verify_model
from dsm.progress import ProgressCallback

if TYPE_CHECKING:
    from dsm.inference.scan import Scan
    from dsm.inference.segmenter import Segmenter


@dataclass(slots=True, eq=False)
class OtherModels:
    """Other models of a segmenter, each loaded by the first prompt that needs it.

    Args:
        entries: In the order in which they are asked for a name.
    """

    entries: tuple[ModelEntry, ...]
    _load: Callable[[ModelEntry, ProgressCallback], Segmenter] = field(repr=False)
    _loaded: dict[str, Segmenter] = field(default_factory=dict, repr=False)

    def verify(self, entries: Sequence[ModelEntry]) -> None:
        """Check the files of models that are not loaded yet.

        Raises:
            WeightsError: If one of them is damaged.
        """
        for entry in entries:
            if entry.digest not in self._loaded:
                verify_model(entry.path)

    def segmenter(self, entry: ModelEntry, progress: ProgressCallback) -> Segmenter:
        """Return a model, loaded."""
        if entry.digest not in self._loaded:
            self._loaded[entry.digest] = self._load(entry, progress)
        return self._loaded[entry.digest]


@dataclass(slots=True, eq=False)
class OtherScans:
    """Volume of a scan for the other models: each encodes it when a prompt needs that, and keeps the encoding.

    Args:
        models: The other models.
        volume: The input.
        region: As of `Segmenter.open`.
    """

    models: OtherModels
    volume: Volume
    region: Box | None
    _scans: dict[str, Scan] = field(default_factory=dict, repr=False)

    @property
    def encode_seconds(self) -> float:
        """Time of the encodings so far, in s."""
        return sum(scan.encode_seconds for scan in self._scans.values())

    def model_for(self, prompt: Prompt) -> ModelEntry | None:
        """Return the model that has learned the name of a prompt in the modality of the volume; None without one."""
        return entry_that_learned(prompt, self.models.entries, modality=self.volume.modality)

    def segment(
        self,
        entry: ModelEntry,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        progress: ProgressCallback,
        on_result: Callable[[PromptResult], None] | None,
        **how: Any,
    ) -> list[PromptResult]:
        """Segment prompts by a model; the results say which.

        Args:
            entry: The model.
            prompts: Those that it has learned.
            options: As of `Scan.segment`, like the rest.
            progress: Stages of `Segmenter.from_pretrained`, too, the first time.
            on_result: As there.
            **how: Its other arguments.
        """
        if entry.digest not in self._scans:
            self._scans[entry.digest] = self.models.segmenter(entry, progress).open(self.volume, region=self.region)
        scan = self._scans[entry.digest]

        def said(result: PromptResult) -> PromptResult:
            return replace(result, model=entry.name, model_sha256=entry.digest)

        callback = None if on_result is None else lambda result: on_result(said(result))
        return [said(one) for one in scan.segment(prompts, options, progress=progress, on_result=callback, **how)]
