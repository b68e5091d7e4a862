"""An encoded volume, ready for any number of prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Box
from dsm.core.input_note import InputNote
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.inference.anatomy import AnatomyCheck
from dsm.inference.component_policy import kept_fraction, smallest_part_ml
from dsm.inference.dropped_rims import without_dropped_rims
from dsm.inference.feature_samples import values_at
from dsm.inference.host_organ import covered_fraction, host_region, keep_parts_at
from dsm.inference.logit_components import keep_sure_parts
from dsm.inference.lung_nodules import LUNGS, NODULES, nodule_logits
from dsm.inference.organ_outliers import SOLID, deviation_logits
from dsm.inference.postprocess import (
    FAINTEST_PROBABILITY,
    NOTHING,
    native_mask,
    native_probability,
    native_uncertainty,
    score,
)
from dsm.inference.result import PromptResult
from dsm.inference.visual_prompt import Sampling, decode_with_visual_prompts
from dsm.inference.working_grid import WorkingGrid
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.nn.prompt_batch import PromptBatch
from dsm.progress import Progress, ignore_progress
from dsm.text.embed import PromptEmbedder
from dsm.text.prompt import Prompt, parse_prompts
from dsm.text.vocabulary import load_vocabulary

# Their logits are in memory together: 6 MB each for a trunk of 36 x 24 x 45 cm.
_BATCH = 8
# A mask is at least half sure inside by its threshold, so below this the presence head says "not here" (under 0.1).
_SMALLEST_SCORE = 0.05
_SAMPLING = Sampling()
_OPTIONS = SegmentOptions()
# Of the host with its margin, which is about twice the organ.
_FILLED = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """Output for one prompt, on the CPU: logits `(i, j, k)`, presence logit, and mean probability over hypotheses."""

    logits: Tensor
    presence: float
    mean: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Volume that was encoded once; each `segment` is cheap.

    Args:
        volume: The input; results come on its grid.
        grid: How the encoding lies on it.
        num_slabs: 1 where the encoding was made in one pass.
        encode_seconds: What the encoding took, resampling included.
        notes: What is unusual about the input; each result carries them as warnings.
    """

    volume: Volume
    grid: WorkingGrid
    num_slabs: int
    encode_seconds: float
    _encoding: Encoding = field(repr=False)
    _net: DSMNet = field(repr=False)
    _config: ModelConfig = field(repr=False)
    _embedder: PromptEmbedder = field(repr=False)
    notes: tuple[InputNote, ...] = ()
    _host_regions: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, repr=False)
    _deviations: dict[tuple[int, ...], Tensor | None] = field(default_factory=dict, repr=False)

    def segment(
        self,
        prompts: str | Sequence[str] | Sequence[Prompt],
        options: SegmentOptions = _OPTIONS,
        *,
        sampling: Sampling = _SAMPLING,
        part_confidence: float | None = None,
        progress: Progress = ignore_progress,
        on_result: Callable[[PromptResult], None] | None = None,
    ) -> list[PromptResult]:
        """Segment the prompted structures.

        Args:
            prompts: Text (`;` or a new line separates prompts), several texts, or parsed prompts.
            options: How they are segmented. Post-processing keeps the largest connected part of an organ, and drops
                specks of free-text prompts. A tumor keeps all parts of 0.1 ml or more; if its organ is in the image,
                those that touch it and are not mostly other organs; of a trained tumor, those that are sure enough. In
                a solid organ of which no lesion had training labels, a tumor is what differs from the rest of the
                organ (`dsm.inference.organ_outliers`).
            sampling: How visual prompts are drawn.
            part_confidence: Least mean probability of a part of a trained tumor; by default what the model says.
            progress: Stages `"text"` and `"decode"`; may raise `JobCancelled`.
            on_result: Called with each result as soon as it is there.

        Returns:
            One result a prompt, in their order.

        Raises:
            PromptError: If a prompt is empty or too long.
        """
        threshold, postprocess = options.threshold, options.postprocess
        parsed = _parsed(prompts)
        progress("text", 0, len(parsed))
        vectors, notes = self._embedder.embed(parsed)
        progress("text", len(parsed), len(parsed))
        results: list[PromptResult] = []
        check = AnatomyCheck(self.volume, self.grid.orientation.box_from_ras(self.grid.box, self.volume.shape))
        for start in range(0, len(parsed), _BATCH):
            batch = parsed[start : start + _BATCH]
            progress("decode", start, len(parsed))
            began = time.perf_counter()
            text = torch.from_numpy(vectors[start : start + _BATCH])
            answers = self._decode(batch, text, None if options.fast else sampling, spread=options.uncertainty)
            share = (time.perf_counter() - began) / len(batch)
            for row, prompt in enumerate(batch):
                if row:
                    progress("decode", start + row, len(parsed))
                own = answers[row].logits
                if postprocess:
                    own = self._tumor_parts(prompt, own, threshold, part_confidence)
                result = self._result(
                    prompt,
                    own,
                    answers[row],
                    notes=(*notes[start + row], *self._filled_host(prompt, own, threshold)),
                    seconds=share,
                    options=options,
                    keep_fraction=kept_fraction(prompt) if postprocess else 0.0,
                    smallest_voxels=self._smallest_voxels(prompt) if postprocess else 0,
                )
                if result.found:
                    flags = check(prompt.name, result.mask, result.volume_ml)
                    result = replace(result, warnings=(*flags, *result.warnings))
                if options.region is not None:
                    result = self._inside(result, options.region)
                results.append(result)
                if on_result is not None:
                    on_result(result)
        progress("decode", len(parsed), len(parsed))
        return results

    def is_trained_tumor(self, prompt: Prompt) -> bool:
        """Return whether the prompt is a tumor with labels in the training data."""
        return prompt.kind == "tumor" and prompt.name in self._config.trained

    def sample_logits(
        self, prompt: Prompt, voxels: np.ndarray, *, fast: bool = False, sampling: Sampling = _SAMPLING
    ) -> np.ndarray:
        """Return the logits of a prompt at voxels of the input grid `(n, 3)`: float32 `(n,)`, before any threshold."""
        vectors, _ = self._embedder.embed([prompt])
        (answer,) = self._decode([prompt], torch.from_numpy(vectors), None if fast else sampling, spread=False)
        return values_at(answer.logits, self.grid, voxels)

    def sample_anomaly(self, voxels: np.ndarray) -> np.ndarray:
        """Return the anomaly map at voxels of the input grid `(n, 3)`: float32 `(n,)` in [0, 1]."""
        return values_at(self._encoding.anomalies[-1][0], self.grid, voxels)

    def _smallest_voxels(self, prompt: Prompt) -> int:
        return round(smallest_part_ml(prompt) * 1000 / self.volume.voxel_volume_mm3)

    def _result(
        self,
        prompt: Prompt,
        logits: Tensor,
        answer: _Answer,
        *,
        notes: Sequence[str],
        seconds: float,
        options: SegmentOptions,
        keep_fraction: float,
        smallest_voxels: int,
    ) -> PromptResult:
        """Bring the logits of one prompt to the input grid; those of `answer` are from before parts were dropped.

        `seconds` were spent on it before.
        """
        began = time.perf_counter()
        threshold = options.threshold
        native = native_mask(
            logits,
            self.grid,
            threshold=threshold,
            keep_fraction=keep_fraction,
            smallest_voxels=smallest_voxels,
        )
        value = score(native.mean_probability, answer.presence)
        found = native.num_voxels > 0 and value >= _SMALLEST_SCORE
        probability = None
        if options.probabilities:
            rimless = without_dropped_rims(answer.logits, logits, threshold=threshold, faintest=FAINTEST_PROBABILITY)
            probability = native_probability(rimless, self.grid)
        return PromptResult(
            prompt=prompt,
            mask=native.mask if found else NOTHING,
            shape=self.volume.shape,
            found=found,
            score=value,
            volume_ml=native.num_voxels * self.volume.voxel_volume_mm3 / 1000 if found else 0.0,
            seconds=seconds + time.perf_counter() - began,
            threshold=threshold,
            probability=probability,
            uncertainty=None if answer.mean is None else native_uncertainty(answer.mean, self.grid),
            warnings=(*prompt.warnings, *notes, *self._warnings(prompt), *(note.text for note in self.notes)),
        )

    def _inside(self, result: PromptResult, region: Box) -> PromptResult:
        """Return the part of a result in a region; what lies outside of it alone is not found."""
        mask = result.mask.inside(region)
        num_voxels = int(np.count_nonzero(mask.array))
        return replace(
            result,
            mask=mask,
            found=num_voxels > 0,
            volume_ml=num_voxels * self.volume.voxel_volume_mm3 / 1000,
            probability=result.probability and result.probability.inside(region),
            uncertainty=result.uncertainty and result.uncertainty.inside(region),
        )

    def _decode(
        self, prompts: Sequence[Prompt], text: Tensor, sampling: Sampling | None, *, spread: bool
    ) -> list[_Answer]:
        """Decode all prompts; with `spread`, also return the mean probability."""
        outliers = [self._outliers(prompt) for prompt in prompts]
        asked = [row for row, own in enumerate(outliers) if own is None]
        rest = {row: own for row, own in enumerate(outliers) if own is not None}
        answers = dict(zip(asked, self._ask(prompts, text, asked, sampling, spread=spread), strict=True))
        # Of the rest the network only says whether it is there: no visual prompt is drawn.
        presences = self._ask(prompts, text, list(rest), None, spread=False)
        for (row, own), answer in zip(rest.items(), presences, strict=True):
            answers[row] = _Answer(own, answer.presence, own.sigmoid() if spread else None)
        return [answers[row] for row in range(len(prompts))]

    @torch.inference_mode()
    def _ask(
        self, prompts: Sequence[Prompt], text: Tensor, rows: Sequence[int], sampling: Sampling | None, *, spread: bool
    ) -> list[_Answer]:
        """Decode a subset of the prompts."""
        if not rows:
            return []
        some, device = [prompts[row] for row in rows], self._encoding.embedding.device
        batch = PromptBatch(
            text=text[list(rows)].to(device),
            organ_index=_rows(some, self._config.organs, device),
            is_tumor=torch.tensor([prompt.kind == "tumor" for prompt in some], device=device),
            tumor_index=_rows(some, self._config.tumors, device),
            structure_index=_rows(some, self._config.structures, device),
        )
        decoded, mean = decode_with_visual_prompts(self._net, self._encoding, batch, sampling, spread=spread)
        logits, presence = decoded.logits[0].float().cpu(), decoded.presence[0].tolist()
        mean = None if mean is None else mean.float().cpu()
        for row, prompt in enumerate(some):
            if offset := self._offset(prompt):
                logits[row] += offset
                if mean is not None:
                    mean[row] = (torch.logit(mean[row], eps=1e-6) + offset).sigmoid()
        return [_Answer(logits[row], presence[row], None if mean is None else mean[row]) for row in range(len(rows))]

    def _outliers(self, prompt: Prompt) -> Tensor | None:
        """Return logits of a tumor in known organs without a trained lesion; else None."""
        rows = tuple(self._host_rows(prompt))
        hosts = {self._config.organs[row] for row in rows}
        known = set(self._config.trained) - self._hosts_of_trained_tumors()
        if not hosts or not hosts <= known:
            return None
        is_nodule = hosts <= LUNGS and prompt.name in NODULES and self.volume.modality == "CT"
        if not is_nodule and not hosts <= SOLID:
            return None
        if rows not in self._deviations:
            self._deviations[rows] = self._nodules(rows) if is_nodule else self._deviation(rows)
        return self._deviations[rows]

    def _deviation(self, rows: Sequence[int]) -> Tensor | None:
        return deviation_logits(
            self._host_logits(rows),
            self.volume,
            self.grid,
            claimed=lambda box: self._claimed_by_others(rows, self._encoding.embedding[:, :, *box.slices]).numpy(),
        )

    def _nodules(self, rows: Sequence[int]) -> Tensor | None:
        return nodule_logits(self._host_logits(rows), self.volume, self.grid)

    def _hosts_of_trained_tumors(self) -> set[str]:
        """Return organs with trained lesions: the network generalises to other names of lesions there."""
        known = [load_vocabulary().get(name) for name in self._config.tumors if name in self._config.trained]
        return {host for structure in known if structure is not None for host in structure.hosts}

    @torch.inference_mode()
    def _host_logits(self, rows: Sequence[int]) -> Tensor:
        queries, embedding = self._encoding.organ_queries, self._encoding.embedding
        return self._net.mask_head(queries[:, list(rows)], embedding)[0].float().cpu()

    @torch.inference_mode()
    def _claimed_by_others(self, rows: Sequence[int], embedding: Tensor) -> Tensor:
        """Mask of the embedding voxels `(1, channels, i, j, k)` claimed by an organ other than those of `rows`."""
        organs = self._net.mask_head(self._encoding.organ_queries, embedding)[0].float().cpu()
        host = organs[list(rows)].amax(dim=0).clamp_min(0)
        others = [row for row in range(len(organs)) if row not in rows]
        return organs[others].amax(dim=0) > host

    def _offset(self, prompt: Prompt) -> float:
        if prompt.name in self._config.organs:
            return self._config.organ_offset
        return self._config.tumor_offset if self.is_trained_tumor(prompt) else 0.0

    def _tumor_parts(self, prompt: Prompt, logits: Tensor, threshold: float, confidence: float | None) -> Tensor:
        """Return tumor logits without misplaced or uncertain components; others unchanged."""
        if self._outliers(prompt) is not None:
            return logits  # it was looked for in its host alone
        if self.is_trained_tumor(prompt):
            least = self._config.tumor_part_confidence.get(prompt.name, 0.0) if confidence is None else confidence
            logits = keep_sure_parts(logits, threshold=threshold, confidence=least)
        return self._at_its_host(prompt, logits, threshold)

    def _at_its_host(self, prompt: Prompt, logits: Tensor, threshold: float) -> Tensor:
        """Return tumor logits without components outside of its organ; others unchanged."""
        rows = self._host_rows(prompt)
        if not rows:
            return logits

        def belongs_elsewhere(voxels: Tensor) -> Tensor:
            embedding = self._encoding.embedding
            some = embedding[:, :, voxels.to(embedding.device)][..., None, None]
            return self._claimed_by_others(rows, some)[:, 0, 0]

        region = self._host_region(rows)
        return keep_parts_at(region, logits, threshold=threshold, belongs_elsewhere=belongs_elsewhere)

    def _host_region(self, rows: Sequence[int]) -> np.ndarray:
        if tuple(rows) not in self._host_regions:  # tumors and cysts of one organ share it
            self._host_regions[tuple(rows)] = host_region(self._host_logits(rows))
        return self._host_regions[tuple(rows)]

    def _host_rows(self, prompt: Prompt) -> list[int]:
        hosts = prompt.structure.hosts if prompt.kind == "tumor" and prompt.structure is not None else ()
        return [self._config.organs.index(host) for host in hosts if host in self._config.organs]

    def _filled_host(self, prompt: Prompt, logits: Tensor, threshold: float) -> list[str]:
        """A warning where the mask of a tumor without labels is rather its organ: healthy ones are marked like this."""
        rows = self._host_rows(prompt)
        if not rows or self.is_trained_tumor(prompt) or prompt.structure is None:
            return []
        region = self._host_region(rows)
        if not region.any() or covered_fraction(region, logits, threshold=threshold) < _FILLED:
            return []
        hosts = " and ".join(prompt.structure.hosts)
        return [f"The mask fills much of the {hosts}: rather the organ itself than something in it."]

    def _warnings(self, prompt: Prompt) -> list[str]:
        warnings = []
        if prompt.name not in self._config.trained:
            warnings.append(f"{prompt.name!r} was not in the training labels; treat the result as a candidate.")
        if self._outliers(prompt) is not None and prompt.structure is not None:
            warnings.append(self._what_is_marked(prompt.structure.hosts))
        structure = prompt.structure
        if structure is not None and structure.modalities and self.volume.modality not in structure.modalities:
            fitting = " or ".join(structure.modalities)
            warnings.append(
                f"{prompt.name!r} is looked for in {fitting} as a rule; this image is {self.volume.modality}."
            )
        return warnings

    def _what_is_marked(self, hosts: Sequence[str]) -> str:
        if LUNGS.intersection(hosts):
            return (
                "Marked is what is solid and lies in aerated lung; what is below 15 mm, or lies flat at the chest wall "
                "or at the hilum, is missed."
            )
        how = "is darker than" if self.volume.modality == "CT" else "differs from"
        return f"Marked is what {how} the rest of the {' and '.join(hosts)}; vessels, fat and cysts can be among it."


def _parsed(prompts: str | Sequence[str] | Sequence[Prompt]) -> list[Prompt]:
    if not isinstance(prompts, str) and prompts and all(isinstance(prompt, Prompt) for prompt in prompts):
        return [prompt for prompt in prompts if isinstance(prompt, Prompt)]
    return parse_prompts(prompts)  # type: ignore[arg-type]  # a mixture fails in there, as it should


def _rows(prompts: Sequence[Prompt], names: tuple[str, ...], device: torch.device) -> Tensor:
    """Row of each prompt in a set of queries, -1 outside of it."""
    rows = [names.index(prompt.name) if prompt.name in names else -1 for prompt in prompts]
    return torch.tensor(rows, dtype=torch.long, device=device)
