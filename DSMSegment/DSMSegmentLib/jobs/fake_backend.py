"""A fake in place of the network, for the self-test and the tests: it answers with masks that it was given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dsm.core.boxes import Box, CroppedArray
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from DSMSegmentLib.jobs.cancel_token import CancelToken
from DSMSegmentLib.jobs.client_run import FindingCallback, ProgressCallback
from DSMSegmentLib.jobs.job_progress import JobProgress
from DSMSegmentLib.jobs.request import SegmentRequest
from DSMSegmentLib.jobs.run_estimate import Engine
from DSMSegmentLib.scene.finding import Finding


class FakeBackend:
    """Knows the answers; computes nothing.

    Args:
        masks: One `[I, J, K]` mask a prompt text; prompts without one find nothing.
    """

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        self._masks = masks

    @property
    def provenance(self) -> Provenance:
        """Says that no network was at work."""
        return Provenance("fake", model_sha256="0" * 64, version="0", device="none")

    @property
    def engine(self) -> Engine | None:
        """None: there is no network whose time could be foretold."""
        return None

    def segment(
        self,
        volume: Volume,
        request: SegmentRequest,
        *,
        onProgress: ProgressCallback,
        onFinding: FindingCallback,
        cancel: CancelToken,
    ) -> None:
        """See `Backend.segment`."""
        for index, text in enumerate(request.prompts):
            cancel.check()
            mask = _inside(self._masks.get(text, np.zeros(volume.shape, np.uint8)), request.options.region)
            found = bool(mask.any())
            onFinding(
                index,
                Finding(
                    mask=CroppedArray.from_mask(mask),
                    found=found,
                    score=0.9 if found else 0.1,
                    volumeMl=float(np.count_nonzero(mask)) * volume.voxel_volume_mm3 / 1000.0,
                    seconds=0.0,
                    threshold=request.options.threshold,
                    probability=_map(mask) if request.options.probabilities else None,
                    uncertainty=_map(mask) if request.options.uncertainty else None,
                ),
            )
            onProgress(JobProgress("decode", index + 1, len(request.prompts)))

    def close(self) -> None:
        """There is nothing to give back."""


def _map(mask: np.ndarray) -> CroppedArray:
    crop = CroppedArray.from_mask(mask)
    return CroppedArray(crop.array.astype(np.float16), crop.offset_ijk)


def _inside(mask: np.ndarray, roi: Box | None) -> np.ndarray:
    if roi is None:
        return mask
    cut = np.zeros_like(mask)
    cut[roi.slices] = mask[roi.slices]
    return cut
