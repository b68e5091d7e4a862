"""Runs of prompts on what is shown, one at a time, and the way back from each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import slicer

from dsm.errors import InputError
from DSMSegmentLib import Backend, JobOptions, JobProgress, SegmentationJob, SegmentOutcome, UndoHistory

# Often enough for a bar that moves, seldom enough for a server that also draws.
_POLL_S = 0.1


class Runs:
    """Drives `SegmentationJob` from an event loop.

    Args:
        backend: Computes the masks.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._history = UndoHistory()
        self._job: SegmentationJob | None = None

    @property
    def is_running(self) -> bool:
        """Whether a run is going on."""
        return self._job is not None and not self._job.isOver

    async def run(
        self,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        segmentation_node: slicer.vtkMRMLSegmentationNode,
        prompts: str,
        options: JobOptions,
        *,
        on_progress: Callable[[JobProgress], None],
        on_result: Callable[[SegmentOutcome], None],
    ) -> SegmentationJob:
        """Segment, and return when the run is over, in whatever way.

        Raises:
            InputError: If a run is going on, or the scan or the prompts cannot be used; nothing has been done then.
        """
        if self.is_running:
            raise InputError("A run is going on.", code="busy", hint="Wait for it, or cancel it.")
        job = SegmentationJob(
            volume_node,
            prompts,
            self._backend,
            segmentationNode=segmentation_node,
            options=options,
            onProgress=on_progress,
            onResult=on_result,
        )
        self._job = job
        job.start()
        while not job.poll():
            await asyncio.sleep(_POLL_S)
        if job.journal is not None:
            self._history.add(segmentation_node, job.journal)
        return job

    def cancel(self) -> None:
        """Stop the run; finished segments stay."""
        if self._job is not None:
            self._job.cancel()

    def can_undo(self, segmentation_node: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether there is a run to take back."""
        return not self.is_running and self._history.canUndo(segmentation_node)

    def undo(self, segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
        """Take back the last run; returns whether there was one."""
        return self.can_undo(segmentation_node) and self._history.undoLast(segmentation_node)

    def forget(self) -> None:
        """Forget all runs, before what they wrote to is closed."""
        self._history.clear()

    def close(self) -> None:
        """Stop the run and end the worker."""
        self.cancel()
        self._backend.close()
