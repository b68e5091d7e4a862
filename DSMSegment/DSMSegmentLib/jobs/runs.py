"""Runs of prompts, one at a time, with undo and redo: shared by the panel, scripts and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import slicer

from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.errors import DSMError, InputError
from dsm.wire.messages import Progress
from DSMSegmentLib.jobs.backend import Backend
from DSMSegmentLib.jobs.job import JobOptions, JobState, SegmentationJob
from DSMSegmentLib.jobs.mask_job import MaskJob
from DSMSegmentLib.jobs.one_prompt import parseOne
from DSMSegmentLib.jobs.sequences import SequenceRun
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.lesions import removeLesion
from DSMSegmentLib.scene.map_store import Key, MapsChange, MapStore, SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.outcome import SegmentOutcome
from DSMSegmentLib.scene.rejection import Rejection
from DSMSegmentLib.scene.rethreshold import setThreshold
from DSMSegmentLib.scene.segment_tags import isEdited
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.undo import Change, UndoHistory
from DSMSegmentLib.scene.writer import SegmentationWriter

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion

# Of probability and of uncertainty.
Maps = tuple[Mapping[Key, SegmentMap], Mapping[Key, SegmentMap]]


class Runs:
    """Manager of runs: starts them, writes their results into the scene, and undoes and redoes them.

    Args:
        backend: Computes the masks.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._job: SegmentationJob | SequenceRun | MaskJob | None = None
        self._history = UndoHistory()
        self._probabilities, self._uncertainties = MapStore(), MapStore()

    @property
    def backend(self) -> Backend:
        """Backend that computes the masks."""
        return self._backend

    def use(self, backend: Backend) -> None:
        """Set the backend of later runs, and close the former one.

        Raises:
            InputError: If a run is going on.
        """
        self._checkIdle()
        if backend is not self._backend:
            self._backend.close()
            self._backend = backend

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Output of the newest run; None until its first result has arrived."""
        return self._job.segmentationNode if self._job is not None else None

    @property
    def isRunning(self) -> bool:
        """True while a run is in progress."""
        return self._job is not None and not self._job.isOver

    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompts: str | Sequence[str],
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        options: JobOptions | None = None,
        *,
        wait: bool = False,
        interactive: bool = False,
        onProgress: Callable[[Progress], None] | None = None,
        onResult: Callable[[SegmentOutcome], None] | None = None,
        onFinished: Callable[[SegmentationJob], None] | None = None,
        clickChange: Change | None = None,
    ) -> SegmentationJob:
        """Segment `prompts` (separated by `;` or new lines, or a list) in a volume.

        Args:
            volumeNode: A CT or MR volume.
            prompts: Structures to segment.
            segmentationNode: Where to write; None for a new segmentation beside the volume.
            options: Threshold and write policies.
            wait: Return when the run is over; else call `poll` from a timer.
            interactive: Whether a person waits at a window: probabilities are kept for `setThreshold`, and layers are
                not packed at the end of the run: the window does it step by step (`LayerPacker`).
            onProgress: Called with each progress, on the main thread.
            onResult: Called with each outcome, on the main thread.
            onFinished: Called with the job at its end.
            clickChange: Change of the clicks that the run applies: it is undone and redone with the run, which leaves
                nothing if it is cancelled or fails.

        Returns:
            The job: its `outcomes`, `segmentationNode` and `state`.

        Raises:
            InputError: If a run is going on, or the volume or the prompts cannot be used.
            DSMError: With `wait`, if the run failed; what was finished before is in the scene.
        """
        self._checkIdle()
        mapsBefore = self.savedMaps() if clickChange is not None else ({}, {})

        def finished(job: SegmentationJob) -> None:
            if clickChange is not None and job.state is not JobState.FINISHED:
                job.takeBack()  # a mask of clicks goes with them
                self.restoreMaps(mapsBefore, self.savedMaps())
            elif job.segmentationNode is not None and job.journal is not None:
                # Not the job itself: it would keep the voxels of its volume in memory.
                nodeId = job.segmentationNode.GetID()
                segmentIds = [outcome.segmentId for outcome in job.outcomes if outcome.segmentId]
                if not interactive:  # maps that an earlier run left are of the masks that were replaced
                    self._forgetMaps(nodeId, segmentIds, job.time)
                self._leaveTakenAlone(nodeId, job)
                # Undo leaves no maps: the restored segments have other voxels.
                keys = [(nodeId, segmentId, job.time) for segmentId in segmentIds]
                maps = MapsChange((self._probabilities, self._uncertainties), keys, ({}, {}))
                others = (maps,) if clickChange is None else (maps, clickChange)
                self._history.add(job.segmentationNode, job.journal, *others)
            if onFinished is not None:
                onFinished(job)

        job = SegmentationJob(
            volumeNode,
            prompts,
            self._backend,
            segmentationNode=segmentationNode,
            options=options,
            probabilities=self._probabilities if interactive else None,
            uncertainties=self._uncertainties if interactive else None,
            packAtEnd=not interactive,
            onProgress=onProgress,
            onResult=onResult,
            onFinished=finished,
        )
        self._job = job
        job.start()
        if wait and job.wait() is JobState.FAILED and job.error is not None:
            raise job.error
        return job

    def prepareSegment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompt: str,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
    ) -> tuple[slicer.vtkMRMLSegmentationNode, str]:
        """Add an empty segment of a prompt, named, colored and coded, to click its object; `undoLast` removes it.

        Args:
            volumeNode: That is going to be clicked.
            prompt: One structure.
            segmentationNode: Where to add it; None for a new segmentation beside the volume.

        Returns:
            Segmentation and segment id.

        Raises:
            InputError: If a run is going on, or the prompt names several structures.
            GeometryError: If the segmentation lies under another, non-linear transform.
        """
        self._checkIdle()
        writer = SegmentationWriter(volumeNode, ijkToRAS(volumeNode), segmentationNode)
        segmentId = writer.prepare(parseOne(prompt))
        node, journal = writer.begin()
        # Those of a segment that the user has deleted: the new one may have its id.
        self._forgetMaps(node.GetID(), [segmentId], timeOf(node))
        self._history.add(node, journal)
        return node, segmentId

    def segmentSequence(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompts: str | Sequence[str],
        options: JobOptions | None = None,
        *,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        wait: bool = False,
        onProgress: Callable[[Progress], None] | None = None,
        onResult: Callable[[SegmentOutcome], None] | None = None,
        onFinished: Callable[[SegmentationJob], None] | None = None,
    ) -> SequenceRun:
        """Segment `prompts` in every item of the sequence that a volume shows; see `segment`.

        The segmentations go into a new sequence, which the browser of the images shows, too, unless `segmentationNode`
        shows one that the browser has already; `undoLast` takes all sequence items back in one step.

        Raises:
            InputError: If a run is going on, or the volume is no item of a sequence.
            DSMError: With `wait`, if the run failed; sequence items that were finished before are in the scene.
        """
        self._checkIdle()

        def finished(job: SegmentationJob) -> None:
            self._history.add(run.segmentationNode, run.journal)
            if onFinished is not None:
                onFinished(job)

        self._job = run = SequenceRun(
            volumeNode,
            lambda **callbacks: self._started(
                SegmentationJob(
                    volumeNode, prompts, self._backend, options=options, onFinished=self._forgetMapsOf, **callbacks
                )
            ),
            segmentationNode=segmentationNode,
            onProgress=onProgress,
            onResult=onResult,
            onFinished=finished,
        )
        if wait and run.wait() is JobState.FAILED and isinstance(run.error, DSMError):
            raise run.error
        return run

    def findMask(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompt: str,
        *,
        clicks: Sequence[Click] = (),
        options: SegmentOptions | None = None,
        modality: str = "",
        target: slicer.vtkMRMLSegmentationNode | None = None,
        onFinished: Callable[[MaskJob], None] | None = None,
    ) -> MaskJob:
        """Segment one prompt without writing it; call `poll` from a timer. The arguments are those of `MaskJob`.

        Raises:
            InputError: If a run is going on, or the volume or the prompt cannot be used.
            GeometryError: If `target`, which is to get the mask, lies under another, non-linear transform.
        """
        self._checkIdle()
        self._job = job = MaskJob(
            volumeNode,
            prompt,
            self._backend,
            clicks=clicks,
            options=options,
            modality=modality,
            target=target,
            onFinished=onFinished,
        )
        return job

    def removeLesion(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        lesion: MeasuredLesion,
        *,
        wasAccepted: bool = False,
    ) -> bool:
        """Remove a lesion from a segment (see `scene.lesions`); `undoLast` brings it back, accepted if it was.

        Returns:
            False if the segment has no such lesion (any more): nothing is changed.

        Raises:
            InputError: If a run is going on.
        """
        self._checkIdle()
        journal = RunJournal(segmentationNode)
        journal.noteChanging(segmentId)
        isRemoved = removeLesion(segmentationNode, segmentId, lesion.voxel_ijk)
        if isRemoved:
            rejection = Rejection(journal, segmentationNode, segmentId, lesion, wasAccepted=wasAccepted)
            self._history.add(segmentationNode, rejection, isRun=False)
        return isRemoved

    def _forgetMapsOf(self, job: SegmentationJob) -> None:
        """Forget the maps that an earlier run left: they are of the masks that were replaced."""
        if job.segmentationNode is not None:
            nodeId = job.segmentationNode.GetID()
            segmentIds = [outcome.segmentId for outcome in job.outcomes if outcome.segmentId]
            self._forgetMaps(nodeId, segmentIds, job.time)
            self._leaveTakenAlone(nodeId, job)

    def _leaveTakenAlone(self, nodeId: str, job: SegmentationJob) -> None:
        """Exclude voxels that segments gave to those of a run from later thresholds."""
        for outcome in job.outcomes:
            for other in outcome.taken:
                self._probabilities.leaveAlone(nodeId, other, job.time, outcome.segmentId)

    def _forgetMaps(self, nodeId: str, segmentIds: Sequence[str], time: str | None) -> None:
        """Forget the maps of segments that have got other voxels."""
        for store in (self._probabilities, self._uncertainties):
            for segmentId in segmentIds:
                store.forget(nodeId, segmentId, time)

    @staticmethod
    def _started(job: SegmentationJob) -> SegmentationJob:
        job.start()
        return job

    def _checkIdle(self) -> None:
        if self.isRunning:
            raise InputError("A run is going on.", code="busy", hint="Wait for it, or cancel it.")

    def poll(self) -> bool:
        """Write the results that have arrived into the scene; returns whether no run is in progress."""
        return self._job is None or self._job.poll()

    def cancel(self) -> None:
        """Stop the run; finished segments stay."""
        if self._job is not None:
            self._job.cancel()

    def canUndo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether a change of this segmentation can be undone: a run, or a lesion that was removed."""
        return not self.isRunning and self._history.canUndo(segmentationNode)

    def undoLast(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> bool:
        """Undo the last change of this segmentation; returns whether there was one."""
        return self.canUndo(segmentationNode) and self._history.undoLast(segmentationNode)

    def canRedo(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Return whether a change can be redone: of this segmentation, or for None of one that undo has removed."""
        return not self.isRunning and self._history.canRedo(segmentationNode)

    def redoLast(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode | None
    ) -> slicer.vtkMRMLSegmentationNode | None:
        """Redo what was undone last (see `canRedo`); returns its segmentation, None when there is nothing to redo."""
        return self._history.redoLast(segmentationNode) if self.canRedo(segmentationNode) else None

    def forgetRedo(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Forget what was undone in a segmentation, after a change that cannot be undone here, such as an edit."""
        self._history.forgetRedo(segmentationNode)

    def savedMaps(self) -> Maps:
        """Return the maps of all segments, for `restoreMaps`; they are not copied."""
        return self._probabilities.saved(), self._uncertainties.saved()

    def restoreMaps(self, then: Maps, now: Maps) -> None:
        """Put back the maps that were there `then` where they differ from `now`: for redo, after the masks."""
        for store, before, after in zip((self._probabilities, self._uncertainties), then, now, strict=True):
            store.restore(before, after)

    def canSetThreshold(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> bool:
        """Return whether the probabilities of a segment at the shown sequence item are in memory."""
        return not self.isRunning and self._probabilities.get(segmentationNode, segmentId) is not None

    def isThresholdElsewhere(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> bool:
        """Return whether only other sequence items have probabilities of a segment."""
        return self._probabilities.hasMapAtOtherItem(segmentationNode, segmentId)

    def setThreshold(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        threshold: float,
        *,
        postprocess: bool = False,
        overEdits: bool = False,
    ) -> float:
        """Set the threshold of a segment, without the network; returns its new volume in ml.

        Args:
            segmentationNode: Of the segment.
            segmentId: Of the segment.
            threshold: Probability from which a voxel is inside, 0 to 1.
            postprocess: Whether small islands are dropped, as in a run.
            overEdits: Whether a segment that was changed by hand becomes what the network found again: only where the
                user can take that back.

        Raises:
            InputError: If its probabilities are not kept (any more), or only those of other sequence items; or if
                it was changed by hand.
        """
        segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
        if not overEdits and segment is not None and isEdited(segment):
            raise InputError(
                f"{segment.GetName()} was edited by hand: another threshold would undo that.",
                code="input.edited",
                hint="Run it again first.",
            )
        probability = self._probabilities.get(segmentationNode, segmentId)
        if self.isThresholdElsewhere(segmentationNode, segmentId):
            raise InputError(
                f"The probabilities of {segmentId} are those of another sequence item.",
                code="input.probability",
                hint="Show that sequence item, or run its prompt at this one.",
            )
        if probability is None:
            raise InputError(
                f"The probabilities of {segmentId} are not kept any more.",
                code="input.probability",
                hint="Run its prompt again.",
            )
        self.forgetRedo(segmentationNode)
        return setThreshold(segmentationNode, segmentId, probability, threshold, postprocess=postprocess)

    def uncertaintyOf(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str
    ) -> SegmentMap | None:
        """Return the map of uncertainty of a segment, at the sequence item that is shown; None where there is none."""
        return self._uncertainties.get(segmentationNode, segmentId)

    def isUncertaintyElsewhere(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> bool:
        """Return whether only other sequence items have uncertainty maps of a segment."""
        return self._uncertainties.hasMapAtOtherItem(segmentationNode, segmentId)

    def sceneClosing(self) -> None:
        """Stop the run and forget what could be undone and redone."""
        self.cancel()
        self._history.clear()
        self._probabilities.clear()
        self._uncertainties.clear()

    def close(self) -> None:
        """Stop the run and end the worker."""
        self.cancel()
        self._backend.close()
