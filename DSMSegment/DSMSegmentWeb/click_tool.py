"""Clicks on the selected result: points in the slice views, and live runs that apply them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from trame_server.state import State

from dsm.core.click import Click
from dsm.errors import DSMError
from DSMSegmentLib import JobState, OutcomeStatus, Runs, SegmentationJob
from DSMSegmentLib.jobs.click_runs import ClickRequest, ClickRuns
from DSMSegmentLib.scene.click_list import addClick, clickListOf, clicksOf, ensureClickList, removeClickList, setClicks
from DSMSegmentLib.scene.taken_voxels import Taken
from DSMSegmentWeb.click_effect import ClickEffect, Point
from DSMSegmentWeb.history import UndoStep
from DSMSegmentWeb.viewer import Viewer

# Values of the variable `tool`.
INSIDE, OUTSIDE = "click", "outside"
CLICK_TOOLS = (INSIDE, OUTSIDE)
_POLL_S = 0.03
_LIST = "vtkMRMLMarkupsFiducialNode"


@dataclass(frozen=True, slots=True)
class ClickChange:
    """Kind of a step of undo: a run that applied clicks.

    Args:
        segment_id: Of the clicked segment.
        before: Its clicks that had been applied before.
    """

    segment_id: str
    before: tuple[Click, ...]


@dataclass(frozen=True, slots=True)
class ClickState:
    """Clicks of a segment at one moment.

    Args:
        clicks: Its points.
        applied: Those that its mask was made from.
        taken: What the mask took from other segments since the first click.
        starts: How many points there were when each click or drag began.
    """

    clicks: tuple[Click, ...] = ()
    applied: tuple[Click, ...] = ()
    taken: Taken = field(default_factory=dict)
    starts: frozenset[int] = frozenset()


class ClickTool:
    """The click tool of the page.

    Args:
        state: Variables of the page.
        viewer: Scene and editor.
        runs: Runs of the page.
        start_job: Starts the run of a request.
        end_job: Called with each run that is over.
        on_restored: Called after a mask was restored without a run.
        note_step: Records a step of undo.
    """

    def __init__(
        self,
        state: State,
        viewer: Viewer,
        runs: Runs,
        *,
        start_job: Callable[[ClickRequest], SegmentationJob],
        end_job: Callable[[SegmentationJob], None],
        on_restored: Callable[[], None],
        note_step: Callable[[UndoStep], None],
    ) -> None:
        self._state = state
        self._viewer = viewer
        self._runs = runs
        self._start_job, self._end_job, self._note_step = start_job, end_job, note_step
        # Edits are tagged as they are made (`edits.py`).
        self._click_runs = ClickRuns(runs, self._start, lambda: None, lambda _node: on_restored(), self._say)
        self._current: tuple[SegmentationJob, ClickRequest, tuple[Click, ...]] | None = None
        self._began_s = 0.0
        self._following: asyncio.Future[None] | None = None
        # Of each segment: how many points there were when each click or drag began.
        self._starts: dict[str, set[int]] = {}

    @property
    def is_updating(self) -> bool:
        """True while clicks wait for their mask."""
        return self._current is not None or self._click_runs.isWaiting

    def use(self, tool: str, segment_id: str) -> None:
        """Let clicks in the slice views count for a segment."""
        self._viewer.editor.set_active_segment_id(segment_id)
        effect = self._viewer.editor.set_active_effect_type(ClickEffect)
        effect.outside = tool == OUTSIDE
        effect.on_points = self._place
        self.show()

    def clear_messages(self) -> None:
        """Remove what was said about earlier clicks."""
        self._state.click_note = self._state.click_error = ""

    def take_back(self, last_step: UndoStep | None) -> bool:
        """Take the last click or drag back.

        Args:
            last_step: Newest step of undo; None for none.

        Returns:
            Whether undoing that step does it; else the remaining clicks are applied anew.
        """
        segment_id, clicks = self._state.selected, self._clicks()
        if not clicks:
            return False
        kept = max((start for start in self._starts.get(segment_id, ()) if start < len(clicks)), default=0)
        is_step = last_step is not None and last_step.kind == ClickChange(segment_id, clicks[:kept])
        if last_step is not None and is_step and last_step.is_kept() and not self.is_updating:
            return True
        setClicks(clickListOf(self._viewer.segmentation_node, segment_id), self._viewer.volume_node, clicks[:kept])
        self._request(segment_id)
        return False

    def cancel(self) -> None:
        """Stop the run of clicks, and take all clicks back that have no mask yet."""
        self._click_runs.cancel()
        self.show()

    def finished(self, job: SegmentationJob) -> None:
        """Note the end of a run of names, which may have replaced what was clicked."""
        self._click_runs.finished(job)

    def saved(self) -> dict[str, ClickState]:
        """Return the clicks of all segments, by id, for `restore`."""
        node, runs = self._viewer.segmentation_node, self._click_runs
        return {
            id_: ClickState(
                clicksOf(clickListOf(node, id_), self._viewer.volume_node),
                runs.appliedClicks(node, id_),
                runs.takenBy(node, id_),
                frozenset(starts),
            )
            for id_, starts in self._starts.items()
        }

    def restore(self, segment_id: str, then: ClickState) -> None:
        """Give a segment the clicks that it had; its mask is restored already."""
        node, volume = self._viewer.segmentation_node, self._viewer.volume_node
        if node.GetSegmentation().GetSegment(segment_id) is None:
            return
        points = ensureClickList(node, segment_id, volume)
        points.SetLocked(True)
        setClicks(points, volume, then.clicks)
        self._starts[segment_id] = set(then.starts)
        self._click_runs.noteApplied(node, segment_id, then.applied, then.taken)

    def forget(self) -> None:
        """Forget all clicks, for another scan."""
        self._click_runs.clear()
        self._starts.clear()
        scene = self._viewer.scene
        for node in [scene.GetNthNodeByClass(n, _LIST) for n in range(scene.GetNumberOfNodesByClass(_LIST))]:
            removeClickList(node)

    def show(self) -> None:
        """Show the points of the selected segment, while the tool is in use."""
        state, node = self._state, self._viewer.segmentation_node
        if node is None:
            return
        for segment_id in list(self._starts):
            points = clickListOf(node, segment_id)
            if points is None:
                continue
            if node.GetSegmentation().GetSegment(segment_id) is None:
                removeClickList(points)
                del self._starts[segment_id]
            else:
                points.SetDisplayVisibility(state.tool in CLICK_TOOLS and segment_id == state.selected)
        state.num_clicks = len(self._clicks())

    def _clicks(self) -> tuple[Click, ...]:
        node, segment_id = self._viewer.segmentation_node, self._state.selected
        return clicksOf(clickListOf(node, segment_id), self._viewer.volume_node) if segment_id else ()

    def _place(self, points: list[Point], inside: bool) -> None:
        with self._state:
            segment_id = self._state.selected
            node = ensureClickList(self._viewer.segmentation_node, segment_id, self._viewer.volume_node)
            node.SetLocked(True)  # the mouse places points here, and moves none
            count = node.GetNumberOfControlPoints()
            # Those of clicks that were taken back are gone.
            self._starts[segment_id] = {start for start in self._starts.get(segment_id, ()) if start < count} | {count}
            for point in points:
                addClick(node, point, inside=inside)
            self._request(segment_id)

    def _request(self, segment_id: str) -> None:
        self.clear_messages()
        self._click_runs.request(self._viewer.segmentation_node, segment_id)
        self._state.running = True  # can be cancelled from now on
        self.show()
        if self._following is None or self._following.done():
            self._following = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        """Apply the clicks until the latest are applied."""
        try:
            while self.is_updating:
                self._click_runs.follow()
                if self._current is not None:
                    self._state.elapsed_s = int(time.monotonic() - self._began_s)
                    if self._runs.poll():
                        self._end(*self._current)
                self._state.flush()
                await asyncio.sleep(_POLL_S)
        finally:
            self._state.running = self._runs.isRunning
            self._state.flush()

    def _start(self, request: ClickRequest) -> bool:
        before = self._click_runs.appliedClicks(request.segmentationNode, request.segmentId)
        try:
            job = self._start_job(request)
        except DSMError as error:
            self._state.click_error = error.one_line
            request.change.revert()
            return False
        self._current, self._began_s = (job, request, before), time.monotonic()
        return True

    def _end(self, job: SegmentationJob, request: ClickRequest, before: tuple[Click, ...]) -> None:
        self._current = None
        self._click_runs.finished(job)
        if job.state is JobState.FINISHED:
            if all(outcome.status is not OutcomeStatus.WRITTEN for outcome in job.outcomes):
                self._say("Nothing was found there. Click elsewhere, or take the click back.")
            elif job.segmentationNode is not None:
                node = job.segmentationNode
                change = ClickChange(request.segmentId, before)
                # The history of runs keeps a few only.
                self._note_step(
                    UndoStep(lambda: self._runs.undoLast(node), change, is_kept=lambda: self._runs.canUndo(node))
                )
        elif not self._click_runs.isWaiting:  # nothing applies these clicks any more
            request.change.revert()
            self._state.click_error = job.error.one_line if job.error is not None else ""
        self._end_job(job)
        self.show()

    def _say(self, sentence: str) -> None:
        self._state.click_note = sentence
