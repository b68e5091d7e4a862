"""One run: volume node in, segments out, with progress and cancel; finished segments stay, even if it fails later."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

import slicer

from dsm.client.cancel_token import CancelToken
from dsm.core.boxes import Box
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import DSMError, InputError, JobCancelled, OutputError
from dsm.text.prompt import parse_prompts
from dsm.wire.messages import Progress
from DSMSegmentLib.jobs.backend import Backend
from DSMSegmentLib.jobs.collection_guard import collectionGuard, startThread
from DSMSegmentLib.jobs.encoding_watch import EncodingWatch
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.lesions import KeptLesions
from DSMSegmentLib.scene.map_store import MapStore, SegmentMap
from DSMSegmentLib.scene.mrml import affineInSegmentation, hasLinearParent, volumeFromNode
from DSMSegmentLib.scene.outcome import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.scene.policy import ExistingPolicy, OverlapPolicy
from DSMSegmentLib.scene.roi import boxFromRoi
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.taken_voxels import Taken
from DSMSegmentLib.scene.writer import SegmentationWriter

# Time limit of one `poll`, so that the window can draw; a write that has begun is finished.
_POLL_BUDGET_S = 0.03
# Long enough to hand the interpreter to the threads that read the worker's pipes: while the application is in its own
# event loop, a timer that calls `poll` is their only chance. Short enough not to be felt in the window.
_POLL_WAIT_S = 0.01


class JobState(Enum):
    """State of a job. Only `RUNNING` can be cancelled; the three after it are final."""

    READY = "ready"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of a run.

    Args:
        segment: How the prompts are segmented. The region comes from `roi`, and which maps are made from where they are
            to be kept.
        existing: Policy for segments that have the name of a prompt.
        overlap: Policy where segments overlap.
        keepEmpty: Whether a prompt that found nothing leaves an empty segment.
        roi: Only voxels inside are segmented; None for the whole volume. Of a CT that was not read yet, only they and 6
            cm around them are read. A segment that is replaced keeps what it has outside.
        modality: `"CT"` or `"MR"` as the user chose; empty to find out (`decideModality`).
        into: Ids of the segments that get what a prompt finds, by its canonical name; others go by `existing`.
        clicks: Clicks of a prompt by its canonical name, in the volume's own RAS (see `clicksOf`): the mask is the
            clicked object, whatever the name.
        taken: Voxels that the segments of `into` took from others in earlier runs: what they leave now goes back.
        lesions: Of the clicked segment, which stay where they are not clicked.
    """

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    existing: ExistingPolicy = ExistingPolicy.ADD
    overlap: OverlapPolicy = OverlapPolicy.ALLOW
    keepEmpty: bool = False
    roi: slicer.vtkMRMLMarkupsROINode | None = None
    modality: str = ""
    into: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clicks: Mapping[str, Sequence[Click]] = field(default_factory=dict)
    taken: Taken = field(default_factory=dict)
    lesions: KeptLesions | None = None


class SegmentationJob:
    """Run of prompts on a volume node, which writes its results into the scene.

    The network runs in the backend; the scene is only touched inside `poll`, which the host calls on its main thread
    from a timer, or which `wait` calls for scripts. Finished prompts stay, also when the user cancels or the run fails:
    the rest is then listed in `missing`, and `seconds` is how long it took. A segmentation that is part of a sequence
    is written at the sequence item of the start only: a result that arrives while another one is shown fails the run.

    Args:
        volumeNode: Volume to segment.
        prompts: Text, prompts separated by `;` or new lines; or a list of single prompts.
        backend: Computes the masks.
        segmentationNode: Where to write; None makes a new one, once the first result has arrived.
        options: How to segment and write.
        probabilities: Where to keep the maps of probability of what is found; None for none.
        uncertainties: Where to keep the maps of uncertainty, if `options` ask for them.
        packAtEnd: Whether segments share layers at the end, for smaller files; takes 0.1 s and more for large volumes.
        onProgress: Called with each progress, on the main thread.
        onResult: Called with each outcome once it is in the scene, on the main thread.
        onFinished: Called once with the job, in whatever state it ended.

    Raises:
        InputError: If the volume, the prompts or the segmentation cannot be used; nothing has been done then.
    """

    def __init__(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        prompts: str | Sequence[str],
        backend: Backend,
        *,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        options: JobOptions | None = None,
        probabilities: MapStore | None = None,
        uncertainties: MapStore | None = None,
        packAtEnd: bool = True,
        onProgress: Callable[[Progress], None] | None = None,
        onResult: Callable[[SegmentOutcome], None] | None = None,
        onFinished: Callable[[SegmentationJob], None] | None = None,
    ) -> None:
        self._options = options or JobOptions()
        self._volume = volumeFromNode(volumeNode, self._options.modality)
        self._volumeNode = volumeNode
        self._time = timeOf(segmentationNode)  # now, as the voxels are: the browser may be stepped during the run
        self._scene = volumeNode.GetScene()
        self._backend = backend
        self._probabilities, self._uncertainties = probabilities, uncertainties
        self._packAtEnd = packAtEnd
        roi = boxFromRoi(self._options.roi, volumeNode) if self._options.roi is not None else None
        self._onProgress, self._onResult, self._onFinished = onProgress, onResult, onFinished
        self._writer = SegmentationWriter(
            volumeNode,
            self._volume.affine,
            segmentationNode,
            existing=self._options.existing,
            overlap=self._options.overlap,
            keepEmpty=self._options.keepEmpty,
            roi=roi,
            taken=self._options.taken,
        )
        clicks = self._options.clicks
        parsed = [replace(prompt, clicks=tuple(clicks.get(prompt.name, ()))) for prompt in parse_prompts(prompts)]
        self._prompts, self._skipped = self._plan(parsed)
        # A clicked segment is changed by further clicks, not by a threshold.
        isNamed = any(not prompt.clicks for prompt in self._prompts)
        self._how = replace(
            self._options.segment,
            region=roi,
            probabilities=probabilities is not None and isNamed,
            uncertainty=uncertainties is not None and isNamed and self._options.segment.uncertainty,
        )
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._cancel = CancelToken()
        self._watch = EncodingWatch()
        self._isByOthers = False
        self._writeError: DSMError | None = None
        self._startS = 0.0
        self.seconds = 0.0
        self.state = JobState.READY
        self.outcomes: list[SegmentOutcome] = []
        self._earlier: tuple[SegmentOutcome, ...] = ()
        self.progress = Progress(id="", stage="load", done=0, total=1)
        self.error: DSMError | None = None
        self.warnings = _transformWarnings(volumeNode)

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Output segmentation; None until the first result has arrived, unless it was given."""
        return self._writer.segmentationNode

    @property
    def journal(self) -> RunJournal | None:
        """Journal of the changes, for undo."""
        return self._writer.journal

    @property
    def time(self) -> str | None:
        """Index value of the sequence item that is written; None for a node outside of sequences."""
        return self._time

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts as they were understood, skipped ones too."""
        return tuple(self._prompts + self._skipped)

    @property
    def volumeNode(self) -> slicer.vtkMRMLScalarVolumeNode:
        """Segmented volume node."""
        return self._volumeNode

    @property
    def volume(self) -> Volume:
        """Its voxels."""
        return self._volume

    @property
    def region(self) -> Box | None:
        """Its voxels in which masks are wanted; None for all."""
        return self._how.region

    @property
    def encodeSeconds(self) -> float | None:
        """Encoding time of the volume or region by the chosen model.

        None before it is over, if it was encoded already, and if another model segmented names, too: progress does not
        say which of them encoded.
        """
        return self._watch.seconds if not self._isByOthers else None

    @property
    def missing(self) -> tuple[Prompt, ...]:
        """Prompts that have no outcome (yet)."""
        done = {outcome.prompt.name for outcome in self.outcomes}
        return tuple(prompt for prompt in self.prompts if prompt.name not in done)

    @property
    def isOver(self) -> bool:
        """True once the job has ended, in any way."""
        return self.state not in (JobState.READY, JobState.RUNNING)

    def start(self) -> None:
        """Start the run and return at once. Call `poll` until the job is over."""
        if self.state is not JobState.READY:
            raise InputError("A job runs only once.", code="input.job", hint="Make a new job.")
        self.state = JobState.RUNNING
        self._startS = time.monotonic()
        for prompt in self._skipped:
            self._events.put(partial(self._note, SegmentOutcome(prompt, OutcomeStatus.SKIPPED)))
        startThread(self._run, "dsm-job")

    def poll(self) -> bool:
        """Take what has arrived into the scene. Call it on the main thread, about ten times a second.

        Returns:
            True once the job is over.
        """
        if self.state is JobState.RUNNING and self._nodesAreGone():
            self.cancel()
        collectionGuard().tend()
        wait = _POLL_WAIT_S
        deadline = time.monotonic() + _POLL_BUDGET_S
        while self.state is JobState.RUNNING and time.monotonic() < deadline:
            try:
                event = self._events.get(timeout=wait)
            except queue.Empty:
                break
            wait = 0.0
            event()
        return self.isOver

    def wait(self) -> JobState:
        """Poll until the job is over, keeping the window alive; for scripts.

        Ctrl+C cancels the job, waits for its end, and is raised again.
        """
        if self.state is JobState.READY:
            self.start()
        application = getattr(slicer, "app", None)
        try:
            while not self.poll():
                if application is not None:
                    application.processEvents()
        except KeyboardInterrupt:
            self.cancel()
            while not self.poll():
                pass
            raise
        return self.state

    def cancel(self) -> None:
        """Stop the run; what is in the scene stays. Takes effect in a later `poll`, within about two seconds."""
        if self.state is JobState.READY:
            self._end(JobCancelled("The job was cancelled."))
        elif self.state is JobState.RUNNING:
            self._cancel.request()

    @property
    def allOutcomes(self) -> tuple[SegmentOutcome, ...]:
        """Outcomes of the earlier jobs of the run and of this one."""
        return (*self._earlier, *self.outcomes)

    def mergeEarlierOutcomes(self, outcomes: Sequence[SegmentOutcome], seconds: float) -> None:
        """Add the outcomes and the time of earlier jobs, for the last job of a run of several."""
        self._earlier = tuple(outcomes)
        self.seconds += seconds

    def takeBack(self) -> None:
        """Undo what the job has written, once it is over."""
        if self.journal is not None:
            self.journal.revert()
        self.outcomes.clear()

    def fail(self, error: DSMError) -> None:
        """Mark a finished job as failed, for a run of several that could not go on; the scene stays as it is."""
        self.error = error
        self.state = JobState.FAILED

    def _plan(self, prompts: list[Prompt]) -> tuple[list[Prompt], list[Prompt]]:
        chosen = self._options.into
        skipped = [prompt for prompt in prompts if not chosen.get(prompt.name) and self._writer.isSkipped(prompt)]
        return [prompt for prompt in prompts if prompt not in skipped], skipped

    def _run(self) -> None:
        """Compute on the helper thread, without touching the scene."""
        error: DSMError | None = None
        try:
            if self._prompts:
                self._backend.segment(
                    self._volume,
                    self._prompts,
                    self._how,
                    onProgress=self._arrived,
                    onResult=self._found,
                    cancel=self._cancel,
                )
        except DSMError as caught:
            error = caught
        except Exception as caught:  # a defect, but the panel must come back to life and say so
            error = DSMError(f"The run failed ({type(caught).__name__}: {caught}).", hint="Please report this.")
            error.__cause__ = caught
        self._events.put(partial(self._end, error))

    def _arrived(self, progress: Progress) -> None:
        """Record a progress on the helper thread, at once, even while the window is busy."""
        self._watch.note(progress)
        self._events.put(partial(self._report, progress))

    def _found(self, result: PromptResult) -> None:
        """Record a result on the helper thread; it is written by `poll`."""
        self._isByOthers |= bool(result.model)
        self._events.put(partial(self._write, self._withLesions(result)))

    def _withLesions(self, result: PromptResult) -> PromptResult:
        """Add the lesions to be kept, on the helper thread: where they are many, it takes a tenth of a second."""
        lesions = self._options.lesions
        return lesions.addedTo(result, self._volume) if lesions is not None and result.prompt.clicks else result

    def _report(self, progress: Progress) -> None:
        self.progress = progress
        if self._onProgress is not None:
            self._onProgress(progress)

    def _write(self, result: PromptResult) -> None:
        if self._cancel.requested:
            return
        try:
            self._checkTime()
            for segmentId in self._options.into.get(result.prompt.name) or ("",):
                self._writeInto(segmentId, result)
        except DSMError as error:
            self._writeError = error
            self.cancel()

    def _writeInto(self, segmentId: str, result: PromptResult) -> None:
        outcome = self._writer.write(result, self._backend.provenance, into=segmentId)
        self._keepMaps(outcome.segmentId, result)
        self._note(outcome)

    def _checkTime(self) -> None:
        node = self.segmentationNode
        if node is not None and not self._showsItsTime():
            raise OutputError(
                f"{node.GetName()} shows another sequence item than at the start of the run.",
                code="output.time_point",
                hint="Show that one again: finished segments are there. Then run the other prompts.",
            )

    def _keepMaps(self, segmentId: str, result: PromptResult) -> None:
        node = self.segmentationNode
        if node is None or not segmentId:
            return
        affine = affineInSegmentation(self._volume.affine, self._volumeNode, node)
        others = self._writer.protectedSegmentIds(segmentId)
        for store, values in ((self._probabilities, result.probability), (self._uncertainties, result.uncertainty)):
            if store is not None:
                map_ = SegmentMap(values, affine, self._how.region, others) if values is not None else None
                store.put(node, segmentId, map_)

    def _note(self, outcome: SegmentOutcome) -> None:
        self.outcomes.append(outcome)
        if self._onResult is not None:
            self._onResult(outcome)

    def _end(self, error: DSMError | None) -> None:
        error = self._writeError or error
        self.seconds = time.monotonic() - self._startS if self._startS else 0.0
        if isinstance(error, JobCancelled) or (error is None and self._cancel.requested):
            self.state = JobState.CANCELLED
        elif error is not None:
            self.error = error
            self.state = JobState.FAILED
            if self.journal is not None and self.journal.isEmpty:
                self.journal.revert()  # a new segmentation that got nothing goes again
        else:
            self.state = JobState.FINISHED
        if self._packAtEnd and not self._nodesAreGone() and self._showsItsTime():
            self._writer.finish()
        if self._onFinished is not None:
            self._onFinished(self)

    def _showsItsTime(self) -> bool:
        """Return whether the segmentation shows the sequence item of the start, or is outside of sequences."""
        return timeOf(self.segmentationNode) == self._time

    def _nodesAreGone(self) -> bool:
        """Return whether the user closed the scene or deleted a node that the run needs."""
        nodes = [self._volumeNode, self.segmentationNode]
        return any(node is not None and node.GetScene() is not self._scene for node in nodes)


def _transformWarnings(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> tuple[str, ...]:
    if hasLinearParent(volumeNode):
        return ()
    return (f"{volumeNode.GetName()} is under a non-linear transform; it is segmented as it was before that.",)
