"""Live runs of the clicks of segments: each change of the clicks starts a run, of which only the latest counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import slicer

from dsm.core.click import Click, corrects_text_mask
from dsm.core.prompt import Prompt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.job import JobState, SegmentationJob
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.scene.click_list import clickListOf, clicksOf, ensureClickList, setClicks
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.lesions import KeptLesions, keepsLesions, keptLesions
from DSMSegmentLib.scene.mrml import countVoxels, orientedImageFromSegment, segmentInScene
from DSMSegmentLib.scene.segment_tags import isEditedByHand, isWithoutRun, promptOf
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment
from DSMSegmentLib.scene.sequence_item import browserOf
from DSMSegmentLib.scene.tag_writer import tagReturn
from DSMSegmentLib.scene.taken_voxels import Taken, giveBack

# Clicks in quick succession, and the way of a point that is dragged, are one change.
_DELAY_S = 0.1
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class ClickRequest:
    """Request for the mask of the clicks of one segment.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment that gets the mask.
        volumeNode: That was clicked.
        prompt: Name of the segment.
        clicks: In the volume's own RAS; those that correct an organ's mask may all be outside.
        change: Of the clicks that the mask was made from, to be undone and redone with the run.
        taken: Voxels that the segment has taken from others since the first click.
        lesions: Of a tumor's segment before the clicks, to be kept; None if there are none.
    """

    segmentationNode: slicer.vtkMRMLSegmentationNode
    segmentId: str
    volumeNode: slicer.vtkMRMLScalarVolumeNode
    prompt: Prompt
    clicks: tuple[Click, ...]
    change: ClicksChange
    taken: Taken
    lesions: KeptLesions | None = None


@dataclass(slots=True, eq=False)
class _ClickedSegment:
    """State of a segment that was clicked.

    Args:
        applied: Clicks that its present mask was made from.
        before: Its mask from before the first click; None if that is not in memory.
        lesions: Its lesions to be kept; None if there are none.
        lesionsAreRead: Whether `lesions` was read from the mask.
        taken: Voxels that it has taken from others since its first click.
    """

    applied: tuple[Click, ...] = ()
    before: RunJournal | None = None
    lesions: KeptLesions | None = None
    lesionsAreRead: bool = False
    taken: Taken = field(default_factory=dict)


class ClickRuns:
    """Keep the masks of segments in step with their clicks.

    A run that is outdated by a later click of the same segment is cancelled; any other run is waited for. Of a tumor,
    lesions that are not clicked stay, and all that was edited by hand; other segments that were edited by hand are left
    alone. The mask from before the first click comes back when the last one goes, as long as the panel is open.

    Args:
        runs: Starts and stops runs.
        start: Starts a run of a request; returns whether it started, after saying why not.
        noteEdits: Tags what was edited by hand up to now.
        onRestored: Called with the segmentation after a mask was restored without a run.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        runs: Runs,
        start: Callable[[ClickRequest], bool],
        noteEdits: Callable[[], None],
        onRestored: Callable[[slicer.vtkMRMLSegmentationNode], None],
        say: Callable[[str], None],
    ) -> None:
        self._runs = runs
        self._start = start
        self._noteEdits = noteEdits
        self._onRestored = onRestored
        self._say = say
        self._clicked: dict[_Key, _ClickedSegment] = {}
        # Segments whose clicks have changed, the latest change last.
        self._pending: dict[_Key, slicer.vtkMRMLSegmentationNode] = {}
        self._changedS = 0.0
        self._running: ClickRequest | None = None

    @property
    def isRunning(self) -> bool:
        """True while a run of clicks is in progress."""
        return self._running is not None

    @property
    def isWaiting(self) -> bool:
        """True while clicks wait for a run that applies them."""
        return bool(self._pending)

    def appliedClicks(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> tuple[Click, ...]:
        """Return the clicks that the present mask of a segment was made from."""
        clicked = self._clicked.get((segmentationNode.GetID(), segmentId))
        return clicked.applied if clicked is not None else ()

    def takenBy(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> Taken:
        """Return what a segment has taken from others since its first click."""
        clicked = self._clicked.get((segmentationNode.GetID(), segmentId))
        return clicked.taken if clicked is not None else {}

    def noteApplied(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, clicks: tuple[Click, ...], taken: Taken
    ) -> None:
        """Note that the present mask of a segment was made from these clicks, and what it took from others."""
        clicked = self._clicked.setdefault((segmentationNode.GetID(), segmentId), _ClickedSegment())
        clicked.applied, clicked.taken = clicks, taken

    def adopt(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, clicks: tuple[Click, ...]
    ) -> None:
        """Take clicks for those of the present mask, as in a scene that was opened."""
        self._clicked.setdefault((segmentationNode.GetID(), segmentId), _ClickedSegment(clicks))

    def request(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
        """Note that the clicks of a segment have changed; `follow` starts the run."""
        key = segmentationNode.GetID(), segmentId
        self._pending.pop(key, None)
        self._pending[key] = segmentationNode
        self._changedS = time.monotonic()

    def follow(self) -> None:
        """Start, cancel or wait, as it is due. Call it from a timer."""
        if not self._pending or time.monotonic() - self._changedS < _DELAY_S:
            return
        key = next(iter(self._pending))
        if self._runs.isRunning:
            if self._running is not None and _keyOf(self._running) in self._pending:
                self._runs.cancel()
            return
        self._apply(key, self._pending.pop(key))

    def cancel(self) -> None:
        """Take back all clicks that have no mask yet, and stop the run that would apply them."""
        changed = [(segmentId, node) for (_nodeId, segmentId), node in self._pending.items()]
        if self._running is not None:
            changed.append((self._running.segmentId, self._running.segmentationNode))
            self._runs.cancel()
        if not changed:
            return
        self._pending.clear()
        for segmentId, node in changed:
            points = clickListOf(node, segmentId)
            isThere = segmentInScene(node, segmentId) is not None
            volumeNode = volumeOfSegment(node, segmentId) if isThere else None
            if points is not None and volumeNode is not None:
                setClicks(points, volumeNode, self.appliedClicks(node, segmentId))
        self._say(_("Cancelled: mask and clicks are as they were before."))

    def rerun(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
        """Run the clicks of a segment again, also over what was edited by hand."""
        self._apply((segmentationNode.GetID(), segmentId), segmentationNode, overEdits=True)

    def finished(self, job: SegmentationJob) -> None:
        """Note the end of a run, of clicks or of names."""
        request, self._running = self._running, None
        if request is None:
            nodeId = job.segmentationNode.GetID() if job.segmentationNode is not None else ""
            for outcome in job.outcomes:  # its mask is no longer that of the clicks, nor what was before them
                if (nodeId, outcome.segmentId) in self._clicked:
                    self._clicked[nodeId, outcome.segmentId] = _ClickedSegment()
        elif job.state is JobState.FINISHED:
            clicked = self._clicked.setdefault(_keyOf(request), _ClickedSegment())
            clicked.applied = request.clicks
            for outcome in job.outcomes:
                if outcome.segmentId == request.segmentId:
                    clicked.taken = outcome.taken

    def clear(self) -> None:
        """Forget all clicks, for example when the scene is closed."""
        self._clicked.clear()
        self._pending.clear()
        self._running = None

    def _apply(self, key: _Key, node: slicer.vtkMRMLSegmentationNode, *, overEdits: bool = False) -> None:
        self._noteEdits()
        segmentId = key[1]
        segment = segmentInScene(node, segmentId)
        prompt = promptOf(segment) if segment is not None else None
        if segment is None or prompt is None:  # deleted meanwhile
            self._clicked.pop(key, None)
            return
        name = segment.GetName()
        volumeNode = volumeOfSegment(node, segmentId)
        if volumeNode is None:
            self._say(_("The volume that {name} was made on is not in the scene.").format(name=name))
            return
        clicked = self._clicked.setdefault(key, _ClickedSegment())
        applied, clicks = clicked.applied, clicksOf(clickListOf(node, segmentId), volumeNode)
        if clicks == applied and not overEdits:
            return
        if reason := reasonNotClickable(node, segmentId, overEdits=overEdits):
            self._say(reason)
        elif not clicks:
            self._restore(clicked, node, name)
        elif not any(click.inside for click in clicks) and not isCorrectable(node, segmentId, prompt):
            self._say(_("Click inside of {name} first: outside clicks alone mark nothing.").format(name=name))
        else:
            if not applied:
                clicked.before = RunJournal(node)
                clicked.before.noteChanging(segmentId)
            # In a scene that was opened, the mask is that of clicks already; what is not clicked stays all the same.
            if not applied or not clicked.lesionsAreRead or isEditedByHand(segment):
                clicked.lesions, clicked.lesionsAreRead = keptLesions(node, segmentId, volumeNode), True
            change = ClicksChange(self, node, segmentId, volumeNode, applied, clicked.taken)
            request = ClickRequest(node, segmentId, volumeNode, prompt, clicks, change, clicked.taken, clicked.lesions)
            if self._start(request):
                self._running = request

    def _restore(self, clicked: _ClickedSegment, node: slicer.vtkMRMLSegmentationNode, name: str) -> None:
        """Give a segment the mask from before its first click."""
        before = clicked.before
        clicked.applied, clicked.before = (), None
        if before is None:
            self._say(_("{name} stays as it is: its mask before the clicks is not in memory.").format(name=name))
            return
        before.revert()
        self._runs.forgetRedo(node)
        taken, clicked.taken = clicked.taken, {}
        giveBack(node, taken)
        for other in taken:
            if node.GetSegmentation().GetSegment(other) is not None:
                tagReturn(node, other, name)
        self._onRestored(node)
        self._say(_("{name} is as it was before the clicks.").format(name=name))


@dataclass(frozen=True, slots=True, eq=False)
class ClicksChange:
    """Change of the clicks that the mask of a segment was made from.

    Args:
        clickRuns: Know which clicks these are.
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        volumeNode: That was clicked.
        clicks: Applied before the change.
        taken: Voxels that the segment had taken from others before.
    """

    clickRuns: ClickRuns
    segmentationNode: slicer.vtkMRMLSegmentationNode
    segmentId: str
    volumeNode: slicer.vtkMRMLScalarVolumeNode
    clicks: tuple[Click, ...]
    taken: Taken

    def revert(self) -> ClicksChange:
        """See `undo.Change.revert`: the clicks are again those of the mask, and so is what it took."""
        node, segmentId, runs = self.segmentationNode, self.segmentId, self.clickRuns
        inverse = replace(self, clicks=runs.appliedClicks(node, segmentId), taken=runs.takenBy(node, segmentId))
        runs.noteApplied(node, segmentId, self.clicks, self.taken)
        if segmentInScene(node, segmentId) is not None and self.volumeNode.GetScene() is not None:
            points = clickListOf(node, segmentId)
            if points is None and self.clicks:  # it went with the segment, which is there again
                points = ensureClickList(node, segmentId, self.volumeNode)
            if points is not None:
                setClicks(points, self.volumeNode, self.clicks)
        return inverse


def reasonNotClickable(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, *, overEdits: bool = False
) -> str:
    """Return why clicks must not change a segment, in a sentence; empty if they may.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        overEdits: Whether what was edited by hand may be replaced.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    volumeNode = volumeOfSegment(segmentationNode, segmentId)
    if volumeNode is None:
        return _("The volume that {name} was made on is not in the scene.").format(name=segment.GetName())
    if reason := reasonOfVolume(volumeNode) or reasonOfVolume(segmentationNode):
        return reason
    isLeftAlone = not overEdits and not keepsLesions(segmentationNode, segmentId, volumeNode)
    if isLeftAlone and (isEditedByHand(segment) or _isPainted(segmentationNode, segmentId)):
        return _("{name} was edited by hand, which a click would replace. Run it again first.").format(
            name=segment.GetName()
        )
    return ""


def reasonOfVolume(node: slicer.vtkMRMLVolumeNode | slicer.vtkMRMLSegmentationNode) -> str:
    """Return why what a node shows cannot be clicked, in a sentence; empty if it can."""
    if browserOf(node) is None:
        return ""
    return _("Items of a sequence cannot be clicked: they would share one list of points. Copy one as a volume first.")


def isCorrectable(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, prompt: Prompt) -> bool:
    """Return whether clicks outside alone can correct a segment: an organ with a mask.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        prompt: Name of what is clicked.
    """
    return corrects_text_mask(prompt.kind) and _hasVoxels(segmentationNode, segmentId)


def _isPainted(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Return whether a segment that was made for clicks has voxels that no run gave it."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    return isWithoutRun(segment) and _hasVoxels(segmentationNode, segmentId)


def _hasVoxels(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    return countVoxels(orientedImageFromSegment(segmentationNode, segmentId)) > 0


def _keyOf(request: ClickRequest) -> _Key:
    return request.segmentationNode.GetID(), request.segmentId
