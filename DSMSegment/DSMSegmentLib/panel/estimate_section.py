"""Estimated encoding time and memory of the selected volume, above the button."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.errors import DSMError
from DSMSegmentLib.jobs.background_call import BackgroundCall
from DSMSegmentLib.jobs.job import JobState, SegmentationJob
from DSMSegmentLib.jobs.run_estimate import Engine, RunEstimate, RunEstimates, speedOf
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.summary import estimateText
from DSMSegmentLib.scene.mrml import arrayIJK, ijkToRAS
from DSMSegmentLib.scene.roi import boxFromRoi

# Volumes that a worker and a server keep encoded for one user.
_NUM_KEPT = 2
_NOTHING = object()


class EstimateSection:
    """Estimate line; empty if nothing is known, or the volume is encoded already.

    Args:
        label: Where the sentence goes.
        estimates: Durations of earlier runs, or a measurement.
        runs: Whose backend the next run uses.
        modality: Returns the modality that a volume is taken for; empty without an image.
        onLearned: Called when more is known; then `refresh` may have more to say.
    """

    def __init__(
        self,
        label: Any,
        estimates: RunEstimates,
        runs: Runs,
        modality: Callable[[Any], str],
        onLearned: Callable[[], None],
    ) -> None:
        self._label = label
        self._estimates = estimates
        self._runs = runs
        self._modality = modality
        self._onLearned = onLearned
        self._engine = runs.backend.engine
        self._shown: Any = _NOTHING
        self._encoded: deque[Any] = deque(maxlen=_NUM_KEPT)
        self._call: BackgroundCall[RunEstimate | None] | None = None
        self._learning: BackgroundCall[float] | None = None

    def refresh(self, volumeNode: Any, roiNode: Any) -> None:
        """Update after a change of model, device or server, or after a run."""
        self._engine = self._runs.backend.engine
        self._shown = _NOTHING
        self.show(volumeNode, roiNode)

    def show(self, volumeNode: Any, roiNode: Any) -> None:
        """Update after a possible change of volume or region: costs nothing if they are the same."""
        region = self._region(volumeNode, roiNode)
        wanted = None if self._runs.isRunning else self._key(volumeNode, region)
        if wanted == self._shown:
            return
        self._shown, self._call = wanted, None
        engine = self._engine
        known = wanted in self._encoded or self._key(volumeNode, None) in self._encoded
        if wanted is None or known or engine is None or not self._estimates.knows(engine):
            self._say("")
            return
        array, affine = arrayIJK(volumeNode.GetImageData()), ijkToRAS(volumeNode)
        modality = self._modality(volumeNode)
        # On a helper thread: it looks at every voxel of a volume of floats.
        self._call = BackgroundCall(
            lambda: self._estimates.of(Volume(array, affine, modality), engine, region), self._onEstimated
        )

    def follow(self, volumeNode: Any, roiNode: Any) -> None:
        """Poll for a region that is being moved; call this from a timer."""
        if self._call is None:
            self.show(volumeNode, roiNode)

    def learn(self, job: SegmentationJob) -> None:
        """Update the estimates from a finished run."""
        if job.encodeSeconds is not None and self._engine is not None:
            self._learning = BackgroundCall(
                partial(speedOf, job.volume, self._engine, job.encodeSeconds, job.region),
                partial(self._onSpeed, self._engine),
            )
        if job.state is JobState.FINISHED:
            self._encoded.append(self._key(job.volumeNode, job.region))
        elif job.state is JobState.FAILED:  # perhaps with the worker and all that it knew
            self._encoded.clear()

    def measured(self, engine: Engine, speed: float) -> None:
        """Update the estimates from a measurement, in seconds per million working voxels."""
        self._estimates.measured(engine, speed)
        self._onLearned()

    def poll(self) -> None:
        """Call this from a timer."""
        learning, call = self._learning, self._call
        if learning is not None and learning.poll():
            self._learning = None
        elif call is not None and call.poll():
            self._call = None

    def _region(self, volumeNode: Any, roiNode: Any) -> Box | None:
        if roiNode is None or volumeNode is None or volumeNode.GetImageData() is None:
            return None
        try:
            return boxFromRoi(roiNode, volumeNode)
        except DSMError:  # explained when somebody tries
            return None

    def _key(self, volumeNode: Any, region: Box | None) -> Any:
        image = volumeNode.GetImageData() if volumeNode is not None else None
        if image is None:
            return None
        modality = self._modality(volumeNode)
        # A server reads all of a volume, and so does the worker of an MR.
        isWhole = self._engine is None or self._engine.config is None or modality != "CT"
        return volumeNode.GetID(), image.GetMTime(), modality, self._engine, None if isWhole else region

    def _onSpeed(self, engine: Engine, speed: float | None, _error: Exception | None) -> None:
        if speed is not None:
            self._estimates.learn(engine, speed)
            self._onLearned()

    def _onEstimated(self, estimate: RunEstimate | None, _error: Exception | None) -> None:
        # A volume that cannot be used is explained when somebody tries.
        self._say(estimateText(estimate) if estimate is not None else "")

    def _say(self, text: str) -> None:
        self._label.text = text
        self._label.visible = bool(text)
