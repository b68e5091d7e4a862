"""Application behind the page: its actions and its view of the scene."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import slicer
from trame_server import Server

from dsm.core.options import SegmentOptions
from dsm.errors import DSMError, InputError
from dsm.wire.messages import Progress
from DSMSegmentLib import Backend, JobOptions, JobState, Runs, SegmentationJob
from DSMSegmentLib.panel.summary import finishedText, progressText, resultText
from DSMSegmentLib.scene.modality_choice import ModalityChoice
from DSMSegmentLib.scene.mrml import decideModality
from DSMSegmentLib.scene.uncertainty_overlay import UncertaintyOverlay
from DSMSegmentWeb import page
from DSMSegmentWeb.access import Access
from DSMSegmentWeb.consent import Consent
from DSMSegmentWeb.edits import Edits, journaled
from DSMSegmentWeb.exports import export
from DSMSegmentWeb.initial_state import initial_state
from DSMSegmentWeb.opening import Opening
from DSMSegmentWeb.rows import Row, missing_rows, segment_rows
from DSMSegmentWeb.scan import OpenedScan
from DSMSegmentWeb.scan_estimate import ScanEstimate
from DSMSegmentWeb.transfer import Transfer
from DSMSegmentWeb.viewer import Viewer

# Often enough for a bar that moves, seldom enough for a server that also draws.
_POLL_S = 0.1
_LOG = logging.getLogger(__name__)
_MAX_UNDO = 20
_THRESHOLD_STEP = 0.01


class Application:
    """One scene and its page.

    Args:
        server: Serves the page.
        backend: Computes the masks.
        access: Who may use it.
        speeds: Where scenes keep what their runs took.
    """

    def __init__(self, server: Server, backend: Backend, access: Access, speeds: Path) -> None:
        self._server = server
        self._state = server.state
        self._access = access
        self._runs = Runs(backend)
        self._estimate = ScanEstimate(server.state, self._runs, speeds)
        self._run: asyncio.Future[None] | None = None
        self._choice: asyncio.Future[None] | None = None
        self._overlay = UncertaintyOverlay()
        self._missing: list[Row] = []
        # Each takes back one run or edit, the newest is last; it returns False when that was forgotten meanwhile.
        self._undo_steps: deque[Callable[[], bool]] = deque(maxlen=_MAX_UNDO)
        self._threshold_step: Callable[[], bool] | None = None
        self._moved = ""
        # Not the scan itself: its voxels are in the scene.
        self._dicom_files: tuple[str, ...] = ()
        self._notes: list[str] = []
        server.enable_module(page)
        self._state.update(initial_state())
        self._consent = Consent(self._state, backend)
        self._viewer = Viewer(server)
        self._edits = Edits(self._viewer.editor, self._note_edit)
        self._opening = Opening(self._state, self._check_idle, self._show_scan)
        self._transfer = Transfer(self._opening.open, self._export, self.show_error)
        page.build_page(server, self._viewer.layout, self)
        server.state.change("tool", "brush_mm", "selected")(self._use_tool)
        server.state.change("shown_window", "shown_level")(self._show_window)
        server.state.change("modality")(self._show_modality)
        server.state.change("segment_threshold")(self._move_threshold)
        server.controller.on_server_bind.add(self._bind)

    def close(self) -> None:
        """Stop the worker, and remove uploads."""
        self._runs.close()
        self._opening.close()

    async def open(self, path: Path, series_uid: str | None = None) -> None:
        """Open a scan, replacing the current one; see `Opening.open`."""
        await self._opening.open(path, series_uid=series_uid)

    def segment(self, prompts: list[str], typed: str) -> None:
        """See `Actions`."""

        def run() -> None:
            # As a task: the next message of this browser, which may be Cancel, waits for the answer to this one.
            self._run = asyncio.ensure_future(self._segment(prompts, typed))

        if self._consent.is_missing:
            self._consent.ask(run)
        else:
            run()

    async def _segment(self, prompts: list[str], typed: str) -> None:
        state = self._state
        state.error, state.status, state.tool = "", "", ""
        try:
            if self._viewer.volume_node is None:
                raise InputError("No scan is open.", code="input.volume", hint="Open a CT or MR scan first.")
            job = self._runs.segment(
                self._viewer.volume_node,
                "; ".join([*prompts, typed]),
                self._viewer.segmentation_node,
                JobOptions(SegmentOptions.from_form(state.to_dict()), modality=ModalityChoice(state.modality).value),
                interactive=True,
                onProgress=self._show_progress,
                onResult=lambda _outcome: self._show_segments(),
            )
            state.running, state.progress = True, -1
            began = time.monotonic()
            while not self._runs.poll():
                # Also what tells the gate that the scene is in use while the network computes.
                state.elapsed_s = int(time.monotonic() - began)
                state.flush()
                await asyncio.sleep(_POLL_S)
            self._estimate.learn(job)
            self._show_end(job)
        except DSMError as error:
            state.error = error.one_line
        except Exception as error:  # a defect, but the page must say so, and come back to life
            _LOG.exception("The run failed.")
            state.error = f"Unexpected error: {type(error).__name__}: {error} Please report it."
        finally:
            state.running = self._runs.isRunning
            self._show_rows()
            state.flush()

    def cancel(self) -> None:
        """See `Actions`."""
        self._state.status = "Cancelling..."
        self._runs.cancel()

    def undo(self) -> None:
        """See `Actions`."""
        if self._runs.isRunning:
            return
        while self._undo_steps:
            if self._undo_steps.pop()():
                break
        self._missing = []
        self._state.status = ""
        self._show_segments()

    def select(self, segment_id: str) -> None:
        """See `Actions`."""
        self._state.selected = segment_id
        self._show_threshold()
        center = self._viewer.segmentation_node.GetSegmentCenterRAS(segment_id)
        if center is not None:
            slicer.vtkMRMLSliceNode.JumpAllSlices(
                self._viewer.scene, *center, slicer.vtkMRMLSliceNode.CenteredJumpSlice
            )

    def recolor(self, segment_id: str, color: str) -> None:
        """See `Actions`."""
        segment = self._viewer.segmentation_node.GetSegmentation().GetSegment(segment_id)
        if segment is not None:
            segment.SetColor(*(int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)))
            self._show_rows()

    def toggle(self, segment_id: str) -> None:
        """See `Actions`."""
        display = self._viewer.segmentation_node.GetDisplayNode()
        display.SetSegmentVisibility(segment_id, not display.GetSegmentVisibility(segment_id))
        self._show_rows()

    def toggle_uncertainty(self, segment_id: str) -> None:
        """See `Actions`."""
        node = self._viewer.segmentation_node
        map_ = self._runs.uncertaintyOf(node, segment_id)
        if map_ is None or segment_id == self._overlay.segmentId:
            self._overlay.hide()
        else:
            self._overlay.show(node, segment_id, map_)
            if self._state.selected != segment_id:
                self.select(segment_id)
        self._state.uncertain = self._overlay.segmentId

    def consent(self, agreed: bool) -> None:
        """See `Actions`."""
        self._consent.answer(agreed=agreed)

    def choose_series(self, series_uid: str) -> None:
        """See `Actions`."""
        self._choice = asyncio.ensure_future(self._opening.choose(series_uid))

    def cancel_series(self, *_: Any) -> None:
        """See `Actions`."""
        self._opening.cancel()

    def edit(self, name: str) -> None:
        """See `Actions`."""
        state = self._state
        state.error = ""
        try:
            self._check_idle()
            self._edits.apply(name, self._viewer.segmentation_node, state.selected)
        except DSMError as error:
            state.error = error.one_line

    def _bind(self, web_server: Any) -> None:
        """Register the routes of the web server before it listens."""
        self._access.guard(web_server.app)
        self._transfer.add_routes(web_server.app)

    def _check_idle(self) -> None:
        if self._runs.isRunning:
            message = "A run is going on in the scan that is open."
            raise InputError(message, code="busy", hint="Wait for it, or cancel it.")

    def _show_scan(self, scan: OpenedScan) -> None:
        self._runs.sceneClosing()
        self._overlay.hide()
        self._edits.forget()
        self._undo_steps.clear()
        self._missing = []
        self._dicom_files = scan.dicom_files
        self._viewer.show(scan.volume, scan.name)
        with self._state as state:
            state.volume_name = self._viewer.volume_node.GetName()
            state.is_dicom = bool(scan.dicom_files)
            state.modality = ""
            self._notes = [note.text for note in scan.volume.notes if note.code != "modality.guessed"]
            self._show_modality("")
            state.value_low, state.value_high = (round(value) for value in self._viewer.value_range)
            state.shown_window, state.shown_level = (round(value) for value in self._viewer.window_level)
            state.error = ""
            state.tool = ""
            self._estimate.show(scan.volume)
            self._show_rows()

    def _export(self, kind: str, folder: Path) -> Path:
        self._check_idle()
        self._overlay.hide()  # a way to look at the scene, no part of it
        with self._state as state:
            state.uncertain = ""
        return export(kind, self._viewer.volume_node, self._viewer.segmentation_node, folder, self._dicom_files)

    def show_error(self, error: DSMError) -> None:
        """Put an error on the page."""
        with self._state as state:
            state.error = error.one_line

    def _show_progress(self, progress: Progress) -> None:
        state = self._state
        state.progress = round(100 * progress.done / progress.total) if progress.total > 1 else -1
        state.status = progressText(progress)
        state.flush()

    def _show_end(self, job: SegmentationJob) -> None:
        state = self._state
        self._missing = missing_rows(job.outcomes)
        if job.journal is not None and not job.journal.isEmpty:
            if not self._undo_steps:
                self._viewer.fit_3d()
            self._undo_steps.append(lambda: self._runs.undoLast(self._viewer.segmentation_node))
        if job.state is JobState.FAILED:
            state.status, state.error = "", finishedText(job)
            return
        state.status = resultText(job)
        if job.state is JobState.FINISHED:
            state.prompts, state.typed = [], ""
            state.dirty("prompts", "typed")  # the browser may have changed them since

    def _show_segments(self) -> None:
        """Update the page after a change of masks."""
        self._viewer.make_surfaces()
        self._show_rows()

    def _show_rows(self) -> None:
        state = self._state
        node = self._viewer.segmentation_node
        found = segment_rows(
            node,
            lambda segment_id: self._runs.canSetThreshold(node, segment_id),
            lambda segment_id: self._runs.uncertaintyOf(node, segment_id) is not None,
        )
        rows = [*found, *self._missing]
        state.rows = [asdict(row) for row in rows]
        ids = [row.id for row in rows if row.id]
        if state.selected not in ids:
            state.selected, state.tool = "", ""
        self._overlay.hideIfGone()
        state.uncertain = self._overlay.segmentId
        self._show_threshold()
        state.can_undo = bool(self._undo_steps)
        state.flush()

    def _show_window(self, shown_window: float, shown_level: float, **_: Any) -> None:
        if self._viewer.volume_node is not None and float(shown_window) > 0:
            self._viewer.window_level = float(shown_window), float(shown_level)

    def _show_modality(self, modality: str, **_: Any) -> None:
        """Say what the scan is taken for, and what else was assumed about it."""
        node, state = self._viewer.volume_node, self._state
        if node is None:
            return
        decided = decideModality(node, ModalityChoice(modality).value)
        state.is_ct = decided.modality == "CT"
        state.found_modality = decideModality(node).modality
        state.input_notes = [decided.reason, *self._notes]

    def _show_threshold(self) -> None:
        shown = self._selected_threshold()
        if shown is not None:
            self._state.segment_threshold = shown

    def _selected_threshold(self) -> float | None:
        state = self._state
        return next((row["threshold"] for row in state.rows if row["id"] and row["id"] == state.selected), None)

    def _move_threshold(self, segment_threshold: float, **_: Any) -> None:
        before = self._selected_threshold()
        if before is None or abs(before - float(segment_threshold)) < _THRESHOLD_STEP / 2:
            return
        node, segment_id = self._viewer.segmentation_node, self._state.selected
        # One drag of the slider is one step back, however many stops it makes.
        if not self._undo_steps or self._undo_steps[-1] is not self._threshold_step or self._moved != segment_id:
            self._threshold_step, self._moved = journaled(node, segment_id), segment_id
            self._undo_steps.append(self._threshold_step)
        self._runs.setThreshold(node, segment_id, float(segment_threshold), postprocess=True, overEdits=True)
        self._show_segments()

    def _use_tool(self, tool: str, brush_mm: float, selected: str, **_: Any) -> None:
        # Not during a run: a stroke between two of its results could not be taken back on its own.
        self._edits.use("" if self._runs.isRunning else tool or "", selected, float(brush_mm))

    def _note_edit(self, take_back: Callable[[], bool]) -> None:
        self._undo_steps.append(take_back)
        self._show_segments()
