"""Fake in place of the network, which returns given masks: for the self-test and the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dsm.client.cancel_token import CancelToken
from dsm.client.session import OnProgress, OnResult
from dsm.core.boxes import Box, CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from dsm.wire.messages import Progress
from DSMSegmentLib.jobs.run_estimate import Engine


class FakeBackend:
    """Backend that returns given masks and computes nothing.

    Args:
        masks: One `[I, J, K]` mask a prompt text; prompts without one find nothing. They may be replaced between runs.
    """

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        self.masks = masks

    @property
    def provenance(self) -> Provenance:
        """Provenance that names no network."""
        return Provenance("fake", model_sha256="0" * 64, version="0", device="none")

    @property
    def engine(self) -> Engine | None:
        """None: there is no network whose time could be estimated."""
        return None

    @property
    def reasonNoClicks(self) -> str:
        """Empty: a click gives the mask of its name."""
        return ""

    def segment(
        self,
        volume: Volume,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        onProgress: OnProgress,
        onResult: OnResult,
        cancel: CancelToken,
    ) -> None:
        """See `Backend.segment`."""
        for index, prompt in enumerate(prompts):
            cancel.check()
            mask = _inside(self.masks.get(prompt.canonical_text, np.zeros(volume.shape, np.uint8)), options.region)
            found = bool(mask.any())
            onResult(
                PromptResult(
                    prompt=prompt,
                    mask=CroppedArray.from_mask(mask),
                    shape=volume.shape,
                    found=found,
                    score=0.9 if found else None,
                    volume_ml=volume.ml_of(np.count_nonzero(mask)),
                    seconds=0.0,
                    threshold=options.threshold,
                    probability=_map(mask) if options.probabilities else None,
                    uncertainty=_map(mask) if options.uncertainty else None,
                ),
            )
            onProgress(Progress(id="", stage="decode", done=index + 1, total=len(prompts)))

    def close(self) -> None:
        """Nothing to free."""


def _map(mask: np.ndarray) -> CroppedArray:
    crop = CroppedArray.from_mask(mask)
    return CroppedArray(crop.array.astype(np.float16), crop.offset_ijk)


def _inside(mask: np.ndarray, roi: Box | None) -> np.ndarray:
    if roi is None:
        return mask
    cut = np.zeros_like(mask)
    cut[roi.slices] = mask[roi.slices]
    return cut
