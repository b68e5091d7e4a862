"""Mask of one prompt, which is not written: for the effect of the Segment Editor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import slicer

from dsm.client.cancel_token import CancelToken
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.core.result import PromptResult
from dsm.errors import DSMError, JobCancelled
from DSMSegmentLib.jobs.backend import Backend
from DSMSegmentLib.jobs.background_call import BackgroundCall
from DSMSegmentLib.jobs.job import JobState
from DSMSegmentLib.jobs.one_prompt import parseOne
from DSMSegmentLib.scene.mrml import affineInSegmentation, orientedImageFromCrop, volumeFromNode


class MaskJob:
    """Request for the mask of one prompt; started at once.

    Args:
        volumeNode: Volume to segment.
        prompt: One structure.
        backend: Computes the mask.
        clicks: Clicks of the object in the volume's own RAS; empty to find it by its name.
        options: How it is segmented; None for the usual ones.
        modality: `"CT"` or `"MR"` as the user chose; empty to find out (`decideModality`).
        target: The segmentation that is to get the mask; None where that is not known yet.
        onFinished: Called once with the job, on the main thread.

    Raises:
        InputError: If the volume cannot be used, or the prompt names several structures.
        GeometryError: If `target` lies under another, non-linear transform.
    """

    segmentationNode = None  # it writes to none

    def __init__(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompt: str,
        backend: Backend,
        *,
        clicks: Sequence[Click] = (),
        options: SegmentOptions | None = None,
        modality: str = "",
        target: slicer.vtkMRMLSegmentationNode | None = None,
        onFinished: Callable[[MaskJob], None] | None = None,
    ) -> None:
        volume = volumeFromNode(volumeNode, modality)
        if target is not None:  # now, and not after a run of a minute
            affineInSegmentation(volume.affine, volumeNode, target)
        self.prompt = replace(parseOne(prompt), clicks=tuple(clicks))
        self.result: PromptResult | None = None
        self.error: DSMError | None = None
        self.state = JobState.RUNNING
        self.volumeNode = volumeNode
        self._affine = volume.affine
        self._onFinished = onFinished
        self._cancel = CancelToken()
        results: list[PromptResult] = []
        self._call = BackgroundCall(
            lambda: backend.segment(
                volume,
                [self.prompt],
                options or SegmentOptions(),
                onProgress=lambda _: None,
                onResult=results.append,
                cancel=self._cancel,
            ),
            lambda _, error: self._end(results, error),
        )

    @property
    def isOver(self) -> bool:
        """True once the job has ended, in any way."""
        return self.state is not JobState.RUNNING

    def imageIn(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> slicer.vtkOrientedImageData | None:
        """Return the mask in the RAS frame of a segmentation, as the transforms are now; None when nothing was found.

        Raises:
            GeometryError: If volume and segmentation have different parents, and one of them is not linear.
        """
        if self.result is None or not self.result.found:
            return None
        affine = affineInSegmentation(self._affine, self.volumeNode, segmentationNode)
        return orientedImageFromCrop(self.result.mask, affine)

    def poll(self) -> bool:
        """Call it on the main thread, about ten times a second; returns whether the job is over."""
        if not self.isOver:
            self._call.poll()
        return self.isOver

    def cancel(self) -> None:
        """Stop the job."""
        self._cancel.request()

    def _end(self, results: list[PromptResult], error: DSMError | None) -> None:
        if isinstance(error, JobCancelled) or self._cancel.requested:
            self.state = JobState.CANCELLED
        elif error is not None:
            self.state, self.error = JobState.FAILED, error
        else:
            self.state = JobState.FINISHED
            self.result = results[0] if results else None
        onFinished, self._onFinished = self._onFinished, None  # a job that is over keeps nobody alive
        if onFinished is not None:
            onFinished(self)
