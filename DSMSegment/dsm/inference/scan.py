"""A volume, ready for any number of prompts by name and by clicks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Box, CroppedArray
from dsm.core.click import Click, check_clicks, check_in_volume, corrects_text_mask
from dsm.core.evidence import Evidence
from dsm.core.input_note import InputNote
from dsm.core.name_status import CUT_OFF, ImageRule, NameKind, NameStatus
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import PromptError
from dsm.inference.anatomy import AnatomyCheck
from dsm.inference.clicked_objects import ClickedObjects
from dsm.inference.component_policy import kept_fraction, smallest_part_ml
from dsm.inference.dropped_rims import without_dropped_rims
from dsm.inference.encoded_volume import EncodedVolume
from dsm.inference.feature_samples import values_at
from dsm.inference.host_organ import covered_fraction, host_region, keep_parts_at
from dsm.inference.logit_components import REJECTED_LOGIT, keep_sure_parts
from dsm.inference.lung_nodules import nodule_logits
from dsm.inference.organ_order import SketchedOrgan
from dsm.inference.organ_outliers import deviation_logits
from dsm.inference.other_models import OtherScans
from dsm.inference.postprocess import (
    FAINTEST_PROBABILITY,
    NOTHING,
    NativeMask,
    native_mask,
    native_probability,
    native_uncertainty,
    network_confidence,
)
from dsm.inference.retained_memory import retain_freed_memory
from dsm.inference.visual_prompt import Sampling, decode_with_visual_prompts
from dsm.inference.working_grid import WorkingGrid
from dsm.models.calibration import Calibration
from dsm.models.config import ModelConfig
from dsm.models.store import ModelEntry, no_click_network
from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.nn.prompt_batch import PromptBatch
from dsm.progress import ProgressCallback, ignore_progress
from dsm.text.embed import PromptEmbedder
from dsm.text.name_status import name_status
from dsm.text.prompt import parse_prompts

# Logits of a batch are in memory together, 6 MB a prompt for a trunk of 36 x 24 x 45 cm. Each batch reads the features
# once, which takes longer than the products with them.
_BATCH_BYTES, _FEWEST, _MOST = 192 * 2**20, 8, 32
# A mask is at least half sure inside by its threshold, so below this the presence head says "not here" (under 0.1).
_LEAST_CONFIDENCE = 0.05
_FLOAT_BYTES = 4
_SAMPLING = Sampling()
_OPTIONS = SegmentOptions()
# Of the host with its margin, which is about twice the organ.
_FILLED = 0.2


@dataclass(frozen=True, slots=True)
class _Plan:
    """A prompt, the status of its name, and the prompt that the network decodes for it, if any."""

    prompt: Prompt
    status: NameStatus
    network: Prompt | None

    @property
    def is_guess(self) -> bool:
        return self.status.kind is NameKind.UNKNOWN and self.network is not None


@dataclass(frozen=True, slots=True, eq=False)
class _Output:
    """Output for one prompt, on the CPU: logits `(i, j, k)`, presence logit, and mean probability over hypotheses.

    An image rule has no presence logit.
    """

    logits: Tensor
    presence: float | None
    mean: Tensor | None


@dataclass(slots=True, eq=False)
class Scan:
    """Volume that is encoded once, at the latest by the first prompt that needs it; each `segment` is cheap.

    Args:
        volume: The input; results come on its grid.
    """

    volume: Volume
    _encode: Callable[[ProgressCallback], EncodedVolume] = field(repr=False)
    _net: DSMNet = field(repr=False)
    _config: ModelConfig = field(repr=False)
    _embedder: PromptEmbedder = field(repr=False)
    _precision: str = "float32"
    _input_notes: tuple[InputNote, ...] = ()
    _calibration: Calibration | None = field(default=None, repr=False)
    _clicked: ClickedObjects | None = field(default=None, repr=False)
    _others: OtherScans | None = field(default=None, repr=False)
    _encoded: EncodedVolume | None = field(default=None, repr=False)
    _host_regions: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, repr=False)
    _deviations: dict[tuple[int, ...], Tensor | None] = field(default_factory=dict, repr=False)

    @property
    def is_encoded(self) -> bool:
        """True once the volume is encoded."""
        return self._encoded is not None

    def encode(self, progress: ProgressCallback = ignore_progress) -> EncodedVolume:
        """Encode the volume, unless that was done.

        Args:
            progress: As of `Segmenter.encode`, which also names the errors.
        """
        if self._encoded is None:
            self._encoded = self._encode(progress)
        return self._encoded

    @property
    def grid(self) -> WorkingGrid:
        """Place of the encoding in the input grid."""
        return self.encode().grid

    @property
    def num_slabs(self) -> int:
        """1 where the encoding was made in one pass."""
        return self.encode().num_slabs

    @property
    def encode_seconds(self) -> float:
        """Time of the encodings so far in s, resampling included: of this model and of the others."""
        own = self._encoded.seconds if self._encoded is not None else 0.0
        return own + (self._others.encode_seconds if self._others is not None else 0.0)

    @property
    def notes(self) -> tuple[InputNote, ...]:
        """Unusual things about the input; each result by name carries them as warnings."""
        return (*self._input_notes, *(self._encoded.notes if self._encoded else ()))

    @property
    def organs(self) -> Mapping[str, SketchedOrgan]:
        """Organs of a plausible volume on a coarse grid."""
        return self.encode().organs

    @property
    def _encoding(self) -> Encoding:
        return self.encode().encoding

    def segment(
        self,
        prompts: str | Sequence[str] | Sequence[Prompt],
        options: SegmentOptions = _OPTIONS,
        *,
        clicks: Sequence[Click] = (),
        sampling: Sampling = _SAMPLING,
        part_confidence: float | None = None,
        progress: ProgressCallback = ignore_progress,
        on_result: Callable[[PromptResult], None] | None = None,
    ) -> list[PromptResult]:
        """Segment the prompted structures.

        A prompt with clicks gives the clicked object, whatever its name; clicks on a learned organ correct its mask if
        the volume is encoded. Names alone need the encoding. A name that this model has not learned is segmented by
        another model of the segmenter that has, which encodes the volume for itself.

        Args:
            prompts: Text (`;` or a new line separates prompts), several texts, or parsed prompts.
            options: How they are segmented. Post-processing keeps the largest connected component of an organ, and
                removes small ones of free-text prompts. A tumor keeps all components of 0.1 ml or more; if its organ is
                in the image, those that touch it and are not mostly other organs; of a learned tumor, those of enough
                confidence. In a solid organ of which no lesion had training labels, a tumor is what differs from the
                rest of the organ (`dsm.inference.organ_outliers`). Of clicked prompts only the region counts.
            clicks: Clicks of the only prompt, in their order; at least one is inside, but on an organ that is found.
            sampling: How visual prompts are drawn.
            part_confidence: Least mean probability of a part of a trained tumor; by default what the model says.
            progress: Stages of the encoding if there is none yet, `"text"` and `"decode"`; may raise `JobCancelled`.
            on_result: Called with each result as soon as it is there, clicked ones first, those of other models last.

        Returns:
            One result a prompt, in their order.

        Raises:
            PromptError: If a prompt is empty or too long, or there are clicks for several prompts.
            InputError: If all clicks of a prompt are outside with no mask to correct, or one lies out of the volume.
            ModelError: Code `"model.clicks"`, if there are clicks and the model has no click network.
            WeightsError: If another model that has learned a name is damaged; nothing was encoded then.

        Example::

            scan.segment("schwannoma", clicks=[Click((12.5, -30, 88)), Click((20, -30, 88), inside=False)])
        """
        parsed = _clicked(_parsed(prompts), clicks)
        for prompt in parsed:
            if prompt.clicks:
                check_clicks(prompt.clicks, prompt.kind)
                check_in_volume(prompt.clicks, self.volume)
        rows_by_model = self._rows_by_model(parsed)
        results: dict[int, PromptResult] = {}
        others = self._others
        if others is not None:
            others.models.verify([entry for entry in rows_by_model if entry is not None])
        for entry, rows in rows_by_model.items():
            segment = self._segment_own if entry is None or others is None else partial(others.segment, entry)
            found = segment(
                [parsed[row] for row in rows],
                options,
                sampling=sampling,
                part_confidence=part_confidence,
                progress=progress,
                on_result=on_result,
            )
            results.update(zip(rows, found, strict=True))
        return [results[row] for row in range(len(parsed))]

    def _rows_by_model(self, prompts: Sequence[Prompt]) -> dict[ModelEntry | None, list[int]]:
        """Return the prompts of each model by their numbers, first those of this one (None)."""
        rows: dict[ModelEntry | None, list[int]] = {}
        for row, prompt in enumerate(prompts):
            rows.setdefault(self._other_model(prompt), []).append(row)
        return dict(sorted(rows.items(), key=lambda item: item[0] is not None))

    def _other_model(self, prompt: Prompt) -> ModelEntry | None:
        """Return the model that has learned the name of a prompt where this one has not; None for this one."""
        other = self._others.model_for(prompt) if self._others is not None else None
        if other is None or self._plan(prompt, guess=False).status.kind is NameKind.LEARNED:
            return None
        return other

    def _segment_own(
        self,
        parsed: Sequence[Prompt],
        options: SegmentOptions,
        *,
        sampling: Sampling,
        part_confidence: float | None,
        progress: ProgressCallback,
        on_result: Callable[[PromptResult], None] | None,
    ) -> list[PromptResult]:
        """Segment prompts by this model; see `segment`."""
        clicked_objects = self._clickable(parsed)
        named = [row for row, prompt in enumerate(parsed) if not prompt.clicks]
        if named:
            self.encode(progress)
        results: dict[int, PromptResult] = {}
        check = AnatomyCheck(self.volume, Box((0, 0, 0), self.volume.shape))
        for row, prompt in enumerate(parsed):
            if prompt.clicks and clicked_objects is not None:
                done = len(results)
                result = clicked_objects.segment(
                    prompt,
                    find_text_mask=self._text_mask(prompt, options),
                    on_look=lambda done=done: progress("decode", done, len(parsed)),  # type: ignore[misc]
                )
                result = self._with_flags(result, check)
                results[row] = result if options.region is None else self._inside(result, options.region)
                if on_result is not None:
                    on_result(results[row])
        if named:
            by_name = self._segment_named(
                [parsed[row] for row in named],
                options,
                sampling=sampling,
                part_confidence=part_confidence,
                progress=progress,
                on_result=on_result,
            )
            results.update(zip(named, by_name, strict=True))
        else:
            progress("decode", len(parsed), len(parsed))
        return [results[row] for row in range(len(parsed))]

    def _clickable(self, prompts: Sequence[Prompt]) -> ClickedObjects | None:
        """Return what segments clicked prompts; None where no prompt has any clicks."""
        if self._clicked is None and any(prompt.clicks for prompt in prompts):
            raise no_click_network(self._config.name)
        return self._clicked

    def _text_mask(self, prompt: Prompt, options: SegmentOptions) -> Callable[[], CroppedArray] | None:
        """Return a function that finds the mask of a prompt's name; None where it would cost or mean too much."""
        named = replace(prompt, clicks=())
        is_correction = self.is_encoded and corrects_text_mask(prompt.kind)
        if not is_correction or self._plan(named, guess=False).status.kind is not NameKind.LEARNED:
            return None
        return lambda: self._segment_named([named], SegmentOptions(fast=options.fast))[0].mask

    def _segment_named(
        self,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        sampling: Sampling = _SAMPLING,
        part_confidence: float | None = None,
        progress: ProgressCallback = ignore_progress,
        on_result: Callable[[PromptResult], None] | None = None,
    ) -> list[PromptResult]:
        """Segment prompts by their names; see `segment`."""
        plans = [self._plan(prompt, guess=options.guess) for prompt in prompts]
        progress("text", 0, len(plans))
        vectors, notes = self._embedded(plans)
        progress("text", len(plans), len(plans))
        results: list[PromptResult] = []
        check = AnatomyCheck(self.volume, self.grid.orientation.box_from_ras(self.grid.box, self.volume.shape))
        batch_size = self._batch_size()
        # Memory that one batch leaves serves the next; a single one would pay for giving it back.
        with retain_freed_memory() if len(plans) > batch_size else nullcontext():
            for start in range(0, len(plans), batch_size):
                batch = plans[start : start + batch_size]
                progress("decode", start, len(plans))
                began = time.perf_counter()
                how = None if options.fast else sampling
                outputs = self._decode(batch, vectors[start : start + batch_size], how, spread=options.uncertainty)
                share = (time.perf_counter() - began) / len(batch)
                for row, plan in enumerate(batch):
                    if row:
                        progress("decode", start + row, len(plans))
                    result = self._result(
                        plan,
                        outputs[row],
                        notes=notes[start + row],
                        seconds=share,
                        options=options,
                        part_confidence=part_confidence,
                    )
                    result = self._with_flags(result, check)
                    if options.region is not None:
                        result = self._inside(result, options.region)
                    results.append(result)
                    if on_result is not None:
                        on_result(result)
                outputs.clear()  # the next batch is decoded into their memory
        progress("decode", len(plans), len(plans))
        return results

    def is_trained_tumor(self, prompt: Prompt) -> bool:
        """Return whether the prompt is a tumor with labels in the training data."""
        return prompt.kind == "tumor" and prompt.name in self._config.trained

    def sample_logits(
        self, prompt: Prompt, voxels: np.ndarray, *, fast: bool = False, sampling: Sampling = _SAMPLING
    ) -> np.ndarray:
        """Return the logits of a prompt at voxels of the input grid `(n, 3)`: float32 `(n,)`, before any threshold."""
        plans = [self._plan(prompt, guess=True)]
        vectors, _ = self._embedded(plans)
        (output,) = self._decode(plans, vectors, None if fast else sampling, spread=False)
        if output is None:
            return np.full(len(voxels), REJECTED_LOGIT, np.float32)
        return values_at(output.logits, self.grid, voxels)

    def sample_anomaly(self, voxels: np.ndarray) -> np.ndarray:
        """Return the anomaly map at voxels of the input grid `(n, 3)`: float32 `(n,)` in [0, 1]."""
        return values_at(self._encoding.anomalies[-1][0], self.grid, voxels)

    def _batch_size(self) -> int:
        """Return the number of prompts that are decoded together."""
        num_voxels = math.prod(self._encoding.embedding.shape[2:])
        return min(_MOST, max(_FEWEST, _BATCH_BYTES // (_FLOAT_BYTES * num_voxels)))

    def _plan(self, prompt: Prompt, *, guess: bool) -> _Plan:
        status = name_status(prompt, self._config.trained, modality=self.volume.modality, only_in=self._config.only_in)
        network = None
        if status.learned_name:
            (network,) = parse_prompts([status.learned_name])
        elif status.kind is NameKind.LEARNED or (status.kind is NameKind.UNKNOWN and guess):
            network = prompt
        return _Plan(prompt, status, network)

    def _embedded(self, plans: Sequence[_Plan]) -> tuple[list[Tensor | None], list[tuple[str, ...]]]:
        """Return text vectors of the network's prompts, None without one, and warnings about their words."""
        rows = [row for row, plan in enumerate(plans) if plan.network is not None]
        vectors: list[Tensor | None] = [None] * len(plans)
        notes: list[tuple[str, ...]] = [()] * len(plans)
        if rows:
            embedded, odd = self._embedder.embed([network for plan in plans if (network := plan.network) is not None])
            for place, row in enumerate(rows):
                vectors[row], notes[row] = torch.from_numpy(embedded[place]), odd[place]
        return vectors, notes

    def _smallest_voxels(self, prompt: Prompt) -> int:
        return round(smallest_part_ml(prompt) / self.volume.voxel_ml)

    def _result(
        self,
        plan: _Plan,
        output: _Output | None,
        *,
        notes: Sequence[str],
        seconds: float,
        options: SegmentOptions,
        part_confidence: float | None,
    ) -> PromptResult:
        """Resample the output for one prompt to the input grid; `seconds` is the time spent before."""
        began = time.perf_counter()
        threshold, postprocess, prompt = options.threshold, options.postprocess, plan.prompt
        if output is None:
            return PromptResult(
                prompt=prompt,
                mask=NOTHING,
                shape=self.volume.shape,
                found=False,
                score=None,
                volume_ml=0.0,
                seconds=seconds,
                threshold=threshold,
                warnings=self._warnings(plan, notes),
                name_status=plan.status,
            )
        logits = output.logits
        if postprocess:
            logits = self._tumor_parts(plan, logits, threshold, part_confidence)
        native = native_mask(
            logits,
            self.grid,
            threshold=threshold,
            keep_fraction=kept_fraction(prompt) if postprocess else 0.0,
            smallest_voxels=self._smallest_voxels(prompt) if postprocess else 0,
        )
        volume_ml = self.volume.ml_of(native.num_voxels)
        evidence = None
        if output.presence is not None and native.num_voxels:
            evidence = Evidence(output.presence, native.mean_probability, volume_ml)
        found, value = self._decided(plan, output, native, evidence)
        probability = None
        if options.probabilities:
            rimless = without_dropped_rims(output.logits, logits, threshold=threshold, faintest=FAINTEST_PROBABILITY)
            probability = native_probability(rimless, self.grid)
        return PromptResult(
            prompt=prompt,
            mask=native.mask if found else NOTHING,
            shape=self.volume.shape,
            found=found,
            score=value,
            volume_ml=volume_ml if found else 0.0,
            seconds=seconds + time.perf_counter() - began,
            threshold=threshold,
            probability=probability,
            uncertainty=None if output.mean is None else native_uncertainty(output.mean, self.grid),
            warnings=self._warnings(plan, (*notes, *self._filled_host(plan, logits, threshold))),
            name_status=plan.status,
            guess=plan.is_guess,
            evidence=evidence,
        )

    def _decided(
        self, plan: _Plan, output: _Output, native: NativeMask, evidence: Evidence | None
    ) -> tuple[bool, float | None]:
        """Return whether a mask is found, and its calibrated score; None where the calibration does not hold."""
        if output.presence is None:
            return native.num_voxels > 0, None
        if self._calibration is not None and plan.network is not None and not plan.is_guess:
            name = plan.network.name
            if evidence is None:
                return False, None
            # A small lesion is no evidence of absence: what is left of a tumor's mask is shown, with its low score.
            is_found = plan.network.kind == "tumor" or self._calibration.is_present(name, evidence)
            is_rated = is_found and plan.status.kind is NameKind.LEARNED
            return is_found, self._calibration.score_of(name, evidence) if is_rated else None
        confidence = network_confidence(native.mean_probability, output.presence)
        return native.num_voxels > 0 and confidence >= _LEAST_CONFIDENCE, None

    def _with_flags(self, result: PromptResult, check: AnatomyCheck) -> PromptResult:
        """Add what makes a found mask doubtful to the warnings of a result."""
        if not result.found:
            return result
        flags = (*self._score_flags(result), *check(result.prompt.name, result.mask, result.volume_ml))
        cut = (CUT_OFF,) if result.touches_edge else ()
        return replace(result, warnings=(*flags, *result.warnings, *cut))

    def _score_flags(self, result: PromptResult) -> tuple[str, ...]:
        if result.score is None or self._calibration is None or result.score >= self._calibration.doubtful_below:
            return ()
        return (f"Check: the mask is less sure than right ones are (score {result.score:.2f}).",)

    def _inside(self, result: PromptResult, region: Box) -> PromptResult:
        """Return the part of a result in a region; what lies outside of it alone is not found."""
        mask = result.mask.inside(region)
        num_voxels = mask.num_voxels
        return replace(
            result,
            mask=mask,
            found=num_voxels > 0,
            score=result.score if num_voxels else None,
            volume_ml=self.volume.ml_of(num_voxels),
            probability=result.probability and result.probability.inside(region),
            uncertainty=result.uncertainty and result.uncertainty.inside(region),
        )

    def _decode(
        self,
        plans: Sequence[_Plan],
        vectors: Sequence[Tensor | None],
        sampling: Sampling | None,
        *,
        spread: bool,
    ) -> list[_Output | None]:
        """Decode all prompts, None where there is no output; with `spread`, also return the mean probability."""
        outputs: list[_Output | None] = [None] * len(plans)
        rows = [row for row, plan in enumerate(plans) if plan.network is not None]
        prompts = [network for plan in plans if (network := plan.network) is not None]
        text = [vector for vector in vectors if vector is not None]
        if rows:
            own = self._run_network(prompts, torch.stack(text), sampling, spread=spread)
            for row, output in zip(rows, own, strict=True):
                outputs[row] = output
        for row, plan in enumerate(plans):
            marked = self._by_rule(plan)
            if marked is not None:
                outputs[row] = _Output(marked, None, marked.sigmoid() if spread else None)
        return outputs

    @torch.inference_mode()
    def _run_network(
        self, prompts: Sequence[Prompt], text: Tensor, sampling: Sampling | None, *, spread: bool
    ) -> list[_Output]:
        """Decode prompts with the network; `text` `(prompts, dim)`."""
        device = self._encoding.embedding.device
        batch = PromptBatch(
            text=text.to(device),
            organ_index=_rows(prompts, self._config.organs, device),
            is_tumor=torch.tensor([prompt.kind == "tumor" for prompt in prompts], device=device),
            tumor_index=_rows(prompts, self._config.tumors, device),
            structure_index=_rows(prompts, self._config.structures, device),
        )
        decoded, mean = decode_with_visual_prompts(
            self._net, self._encoding, batch, sampling, spread=spread, precision=self._precision
        )
        logits, presence = decoded.logits[0].float().cpu(), decoded.presence[0].tolist()
        mean = None if mean is None else mean.float().cpu()
        for row, prompt in enumerate(prompts):
            if offset := self._offset(prompt):
                logits[row] += offset
                if mean is not None:
                    mean[row] = (torch.logit(mean[row], eps=1e-6) + offset).sigmoid()
        return [_Output(logits[row], presence[row], None if mean is None else mean[row]) for row in range(len(prompts))]

    def _by_rule(self, plan: _Plan) -> Tensor | None:
        """Return logits of an image rule; None without a rule, or where its organ is not in the image."""
        rule = plan.status.rule
        rows = tuple(self._host_rows(plan.prompt))
        if rule is None or not rows:
            return None
        if rows not in self._deviations:
            of_hosts = self._nodules if rule is ImageRule.LUNG_NODULES else self._deviation
            self._deviations[rows] = of_hosts(rows)
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
        return organs[others].amax(dim=0) > host if others else torch.zeros_like(host, dtype=torch.bool)

    def _offset(self, prompt: Prompt) -> float:
        if prompt.name in self._config.organs:
            return self._config.organ_offset
        return self._config.tumor_offset if self.is_trained_tumor(prompt) else 0.0

    def _tumor_parts(self, plan: _Plan, logits: Tensor, threshold: float, confidence: float | None) -> Tensor:
        """Return tumor logits without misplaced or uncertain components; others unchanged."""
        if plan.network is None:
            return logits  # it was looked for in its host alone
        if self.is_trained_tumor(plan.network):
            own = self._config.tumor_part_confidence.get(plan.network.name, 0.0)
            least = own if confidence is None else confidence
            logits = keep_sure_parts(logits, threshold=threshold, confidence=least)
        return self._at_its_host(plan.prompt, logits, threshold)

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
        if prompt.structure is not None and prompt.structure.laterality and not region.any():
            return torch.full_like(logits, REJECTED_LOGIT)  # it may be on the other side
        return keep_parts_at(region, logits, threshold=threshold, belongs_elsewhere=belongs_elsewhere)

    def _host_region(self, rows: Sequence[int]) -> np.ndarray:
        if tuple(rows) not in self._host_regions:  # tumors and cysts of one organ share it
            self._host_regions[tuple(rows)] = host_region(self._host_logits(rows))
        return self._host_regions[tuple(rows)]

    def _host_rows(self, prompt: Prompt) -> list[int]:
        hosts = prompt.structure.hosts if prompt.kind == "tumor" and prompt.structure is not None else ()
        return [self._config.organs.index(host) for host in hosts if host in self._config.organs]

    def _filled_host(self, plan: _Plan, logits: Tensor, threshold: float) -> list[str]:
        """Return a warning where a guess at a tumor covers much of its organ, as in healthy ones."""
        prompt = plan.prompt
        rows = self._host_rows(prompt)
        if not rows or not plan.is_guess or prompt.structure is None:
            return []
        region = self._host_region(rows)
        if not region.any() or covered_fraction(region, logits, threshold=threshold) < _FILLED:
            return []
        hosts = " and ".join(prompt.structure.hosts)
        return [f"The mask fills much of the {hosts}: rather the organ itself than something in it."]

    def _warnings(self, plan: _Plan, notes: Sequence[str]) -> tuple[str, ...]:
        prompt, warnings = plan.prompt, list(plan.prompt.warnings)
        if plan.is_guess:
            warnings.append(f"A guess: this model has not learned {prompt.name!r}, and such masks are mostly wrong.")
        elif plan.status.text:
            warnings.append(plan.status.text)
            if self._clicked is not None and plan.status.kind is NameKind.UNKNOWN:
                warnings.append(f"Click on the {prompt.name} to have it segmented.")
        structure = prompt.structure
        if structure is not None and structure.modalities and self.volume.modality not in structure.modalities:
            fitting = " or ".join(structure.modalities)
            warnings.append(
                f"{prompt.name!r} is looked for in {fitting} as a rule; this image is {self.volume.modality}."
            )
        return (*warnings, *notes, *(note.text for note in self.notes))


def _clicked(prompts: list[Prompt], clicks: Sequence[Click]) -> list[Prompt]:
    """Give the only prompt its clicks, if there are any."""
    if not clicks:
        return prompts
    if len(prompts) != 1:
        raise PromptError(
            f"The clicks are for one object, and there are {len(prompts)} prompts.",
            hint="Segment one at a time, or give each prompt clicks of its own.",
        )
    return [replace(prompts[0], clicks=tuple(clicks))]


def _parsed(prompts: str | Sequence[str] | Sequence[Prompt]) -> list[Prompt]:
    if not isinstance(prompts, str) and prompts and all(isinstance(prompt, Prompt) for prompt in prompts):
        return [prompt for prompt in prompts if isinstance(prompt, Prompt)]
    return parse_prompts(prompts)  # type: ignore[arg-type]  # a mixture fails in there, as it should


def _rows(prompts: Sequence[Prompt], names: tuple[str, ...], device: torch.device) -> Tensor:
    """Row of each prompt in a set of queries, -1 outside of it."""
    rows = [names.index(prompt.name) if prompt.name in names else -1 for prompt in prompts]
    return torch.tensor(rows, dtype=torch.long, device=device)
