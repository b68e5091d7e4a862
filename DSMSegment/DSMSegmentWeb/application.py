"""Application behind the page: its actions and its view of the scene."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trame_server import Server

from dsm.core.options import SegmentOptions
from dsm.errors import DSMError, InputError
from dsm.io.seg_nrrd_reader import read_segments_of
from dsm.wire.messages import Progress
from DSMSegmentLib import (
    Backend,
    ExistingPolicy,
    JobOptions,
    JobState,
    OutcomeStatus,
    RemoteBackend,
    Runs,
    SegmentationJob,
    volumeFromNode,
)
from DSMSegmentLib.install.free_text import missingForFreeText
from DSMSegmentLib.jobs.click_runs import ClickRequest
from DSMSegmentLib.panel.hints import PromptContext, promptHints
from DSMSegmentLib.panel.learned_organs import learnedGroups
from DSMSegmentLib.panel.summary import finishedText, progressText, resultText
from DSMSegmentLib.scene.exporting import recordsOf
from DSMSegmentLib.scene.lesions import hasLesions
from DSMSegmentLib.scene.modality_choice import ModalityChoice
from DSMSegmentLib.scene.mrml import decideModality, ijkToRAS
from DSMSegmentLib.scene.uncertainty_overlay import UncertaintyOverlay
from DSMSegmentLib.scene.undo import Change
from DSMSegmentWeb import page, segment_actions
from DSMSegmentWeb.access import Access
from DSMSegmentWeb.click_tool import CLICK_TOOLS, INSIDE, ClickTool
from DSMSegmentWeb.completions import completions
from DSMSegmentWeb.consent import Consent
from DSMSegmentWeb.download_all import ARCHIVE, Contents
from DSMSegmentWeb.edits import Edits, journaled
from DSMSegmentWeb.engine_choice import EngineChoice, InitialChoices
from DSMSegmentWeb.exports import export
from DSMSegmentWeb.history import History, UndoStep
from DSMSegmentWeb.initial_state import initial_state, modality_options
from DSMSegmentWeb.lesion_tool import LesionTool
from DSMSegmentWeb.opening import Opening
from DSMSegmentWeb.rows import Row, missing_rows, segment_rows
from DSMSegmentWeb.scan import OpenedScan
from DSMSegmentWeb.scan_estimate import ScanEstimate
from DSMSegmentWeb.scene_state import SceneState
from DSMSegmentWeb.segment_file import add_segments
from DSMSegmentWeb.surface_files import surfaces_of
from DSMSegmentWeb.transfer import Transfer
from DSMSegmentWeb.viewer import Viewer

# Often enough for a bar that moves, seldom enough for a server that also draws.
_POLL_S = 0.1
_LOG = logging.getLogger(__name__)
_THRESHOLD_STEP = 0.01
_MARGIN_MM = 2
_SOFT_TISSUE_HU = (-30, 200)


class Application:
    """One scene and its page.

    Args:
        server: Serves the page.
        backend: Computes the masks.
        access: Access control.
        speeds: File of the measured encoding speeds, shared by the scenes.
        choices: Choices at the start.
    """

    def __init__(self, server: Server, backend: Backend, access: Access, speeds: Path, choices: InitialChoices) -> None:
        self._server = server
        self._state = server.state
        self._access = access
        self._runs = Runs(backend)
        self._estimate = ScanEstimate(server.state, self._runs, speeds)
        self._run: asyncio.Future[None] | None = None
        self._choice: asyncio.Future[None] | None = None
        self._edit: asyncio.Future[None] | None = None
        self._overlay = UncertaintyOverlay()
        self._missing: list[Row] = []
        self._history = History(self._scene_state, SceneState.difference, self._restore_scene)
        # Not the scan itself: its voxels are in the scene.
        self._dicom_files: tuple[str, ...] = ()
        self._notes: list[str] = []
        server.enable_module(page)
        self._state.update(initial_state())
        self._modality = choices.modality
        self._reads_free_text = isinstance(backend, RemoteBackend) or not missingForFreeText()
        self._consent = Consent(self._state, backend)
        self._engine = EngineChoice(self._state, backend, choices, self._show_engine)
        self._viewer = Viewer(server)
        self._viewer.on_window = self._note_window
        self._edits = Edits(self._viewer.editor, self._note_edit)
        self._clicks = ClickTool(
            self._state,
            self._viewer,
            self._runs,
            start_job=self._start_clicks,
            end_job=self._end_clicks,
            on_restored=self._show_restored,
            note_step=self._note_step,
        )
        self._lesions = LesionTool(self._state, self._viewer)
        self._opening = Opening(self._state, self._check_idle, self._show_scan, self._add_segments)
        self._transfer = Transfer(self._opening.open, self._export, self.show_error)
        page.build_page(server, self._viewer.layout, self)
        server.state.change("tool", "brush_mm", "selected", "limits_brush", "brush_low", "brush_high")(self._use_tool)
        server.state.change("shown_window", "shown_level")(self._show_window)
        server.state.change("modality")(self._show_modality)
        server.state.change("prompts", "typed", "guess", "modality")(self._show_hints)
        server.state.change("segment_threshold")(self._move_threshold)
        server.controller.on_server_bind.add(self._bind)

    def close(self) -> None:
        """Stop the worker, and remove uploads."""
        self._runs.close()
        self._opening.close()

    async def open(self, path: Path, series_uid: str | None = None) -> None:
        """Open a scan, replacing the current one, or segments of it; see `Opening.open`."""
        await self._opening.open(path, series_uid=series_uid)

    async def find_devices(self) -> None:
        """Offer the devices of this computer."""
        await self._engine.find_devices()

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
            job = self._start("; ".join([*prompts, typed]), self._job_options())
            state.running, state.progress = True, -1
            began = time.monotonic()
            while not self._runs.poll():
                # Also a sign of use for the session proxy while the network computes.
                state.elapsed_s = int(time.monotonic() - began)
                state.flush()
                await asyncio.sleep(_POLL_S)
            self._estimate.learn(job)
            state.no_clicks = self._runs.backend.reasonNoClicks  # of a server: known after a run
            self._clicks.finished(job)
            self._show_end(job)
            if job.state is JobState.FINISHED:
                self._clear_prompts(prompts, typed)
        except DSMError as error:
            state.error = error.one_line
        except Exception as error:
            self._show_defect("run", error)
        finally:
            state.running = self._is_running
            self._show_rows()
            state.flush()

    def _job_options(self) -> JobOptions:
        state = self._state
        return JobOptions(
            SegmentOptions.from_form(state.to_dict()),
            existing=ExistingPolicy.REPLACE,  # undo brings the one before back
            modality=ModalityChoice(state.modality).value,
        )

    def _start(self, prompts: str, options: JobOptions, click_change: Change | None = None) -> SegmentationJob:
        return self._runs.segment(
            self._viewer.volume_node,
            prompts,
            self._viewer.segmentation_node,
            options,
            interactive=True,
            onProgress=self._show_progress,
            onResult=lambda _outcome: self._show_segments(),
            clickChange=click_change,
        )

    def click_on(self, segment_id: str) -> None:
        """See `Actions`."""
        state = self._state
        if state.tool in CLICK_TOOLS and state.selected == segment_id:
            state.tool = ""
            return
        if self._consent.is_missing:
            self._consent.ask(lambda: self.click_on(segment_id))
            return
        self._select(segment_id)  # and stay where the user is looking
        self._clicks.clear_messages()
        state.tool = INSIDE

    def click_new(self, prompts: list[str], typed: str) -> None:
        """See `Actions`."""
        segment_id = self._prepare("; ".join([*prompts, typed]))
        if segment_id:
            self._clear_prompts(prompts, typed)
            self.click_on(segment_id)

    def draw_new(self, name: str) -> None:
        """See `Actions`."""
        segment_id = self._prepare(name)
        if segment_id:
            self.select(segment_id)
            self._state.tool = "paint"

    def _prepare(self, prompt: str) -> str:
        """Add an empty segment of a prompt; returns its id, empty where the page says why there is none."""
        state, node = self._state, self._viewer.segmentation_node
        state.error = ""
        try:
            self._check_idle()
            _, segment_id = self._runs.prepareSegment(self._viewer.volume_node, prompt, node)
        except DSMError as error:
            state.error = error.one_line
            return ""
        name = node.GetSegmentation().GetSegment(segment_id).GetName()
        self._missing = [row for row in self._missing if row.name != name]
        self._note_step(UndoStep(lambda: self._runs.undoLast(node)))
        self._show_rows()
        return segment_id

    def take_click_back(self) -> None:
        """See `Actions`."""
        if self._clicks.take_back(self._history.last):
            self.undo()

    def _start_clicks(self, request: ClickRequest) -> SegmentationJob:
        prompt = request.prompt
        into, clicks = {prompt.name: [request.segmentId]}, {prompt.name: request.clicks}
        options = replace(self._job_options(), into=into, clicks=clicks, lesions=request.lesions)
        job = self._start(prompt.canonical_text, options, request.change)
        self._state.running, self._state.progress = True, -1
        return job

    def _end_clicks(self, job: SegmentationJob) -> None:
        state = self._state
        state.running = self._is_running
        if job.state is JobState.FINISHED:
            state.status = resultText(job)
            self._show_rows()
            return
        state.status = "Cancelled." if job.state is JobState.CANCELLED and not state.running else ""
        self._show_segments()  # what it had written is gone

    def cancel(self) -> None:
        """See `Actions`."""
        if self._runs.isRunning:
            self._state.status = "Cancelling..."
        self._clicks.cancel()
        self._runs.cancel()

    @property
    def _is_running(self) -> bool:
        return self._runs.isRunning or self._clicks.is_updating

    def undo(self) -> None:
        """See `Actions`."""
        if self._runs.isRunning:
            return
        change = self._history.undo()
        if change is not None:
            self._missing = []
        self._show_change(change)

    def redo(self) -> None:
        """See `Actions`."""
        if not self._runs.isRunning:
            self._show_change(self._history.redo())

    def _show_change(self, change: tuple[SceneState, SceneState] | None) -> None:
        """Update the page after undo or redo, and select the one segment that was changed."""
        state = self._state
        state.status = ""
        changed = change[1].changed_from(change[0]) if change is not None else ()
        if len(changed) == 1 and state.selected != changed[0]:
            # A tool that is in use was chosen for another segment.
            state.selected, state.tool = changed[0], ""
        self._show_segments()

    def _scene_state(self) -> SceneState:
        return SceneState.of(self._viewer.segmentation_node, self._clicks, self._runs, self._missing)

    def _restore_scene(self, now: SceneState, then: SceneState) -> None:
        then.restore(self._viewer.segmentation_node, self._clicks, self._runs, now=now)
        self._missing = list(then.missing)

    def select(self, segment_id: str) -> None:
        """See `Actions`."""
        self._select(segment_id)
        center = self._viewer.segmentation_node.GetSegmentCenterRAS(segment_id)
        if center is not None:
            self._viewer.jump(center)

    def _select(self, segment_id: str) -> None:
        self._state.selected = segment_id
        self._show_threshold()
        self._lesions.show()

    def recolor(self, segment_id: str, color: str) -> None:
        """See `Actions`."""
        node = self._viewer.segmentation_node
        if node.GetSegmentation().GetSegment(segment_id) is not None:
            red, green, blue = bytes.fromhex(color[1:])
            self._note_small_step(segment_actions.recolor(node, segment_id, (red, green, blue)))

    def rename(self, segment_id: str, name: str) -> None:
        """See `Actions`."""
        self._state.renaming = ""
        self._change(segment_id, lambda node: segment_actions.rename(node, segment_id, name))

    def duplicate(self, segment_id: str) -> None:
        """See `Actions`."""
        self._change(segment_id, lambda node: segment_actions.duplicate(node, segment_id))

    def delete(self, segment_id: str) -> None:
        """See `Actions`."""
        self._change(segment_id, lambda node: segment_actions.delete(node, segment_id))

    def show_only(self, segment_id: str) -> None:
        """See `Actions`."""
        segment_actions.show_only(self._viewer.segmentation_node, segment_id)
        self._show_rows()

    def toggle_reviewed(self, segment_id: str) -> None:
        """See `Actions`."""
        node = self._viewer.segmentation_node
        if node.GetSegmentation().GetSegment(segment_id) is not None:
            self._note_small_step(segment_actions.toggle_reviewed(node, segment_id))

    def _change(self, segment_id: str, change: Callable[[Any], Callable[[], bool]]) -> None:
        """Change a segment, unless it is gone or a run is going on, and record the undo function that is returned."""
        node = self._viewer.segmentation_node
        try:
            self._check_idle()
            if node.GetSegmentation().GetSegment(segment_id) is not None:
                self._note_edit(change(node))
        except DSMError as error:
            self._state.error = error.one_line

    def jump_to_lesion(self, lesion_id: str) -> None:
        """See `Actions`."""
        self._lesions.jump(lesion_id)

    def accept_lesion(self, lesion_id: str) -> None:
        """See `Actions`."""
        try:
            self._note_small_step(self._lesions.accept(lesion_id))
        except DSMError as error:
            self._state.error = error.one_line

    def reject_lesion(self, lesion_id: str) -> None:
        """See `Actions`."""
        self._change(self._state.selected, lambda _node: self._lesions.reject(lesion_id))

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
        # As a task: the page stays in use.
        self._edit = asyncio.ensure_future(self._apply(name, self._state.selected))

    async def _apply(self, name: str, segment_id: str) -> None:
        state, node = self._state, self._viewer.segmentation_node
        state.error = ""
        try:
            self._check_idle()
            if state.editing:
                raise InputError("Another correction is going on.", code="busy", hint="Wait for it.")
            state.editing = True
            state.flush()
            extent = self._viewer.volume_node.GetImageData().GetExtent()
            await self._edits.apply(name, _number(state.margin_mm), node, segment_id, extent)
        except DSMError as error:
            state.error = error.one_line
        except Exception as error:
            self._show_defect("correction", error)
        finally:
            state.editing = False
            state.flush()

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
        self._clicks.forget()
        self._lesions.forget()
        self._history.clear()
        self._missing = []
        self._dicom_files = scan.dicom_files
        self._viewer.show(scan.volume, scan.name)
        with self._state as state:
            state.volume_name = self._viewer.volume_node.GetName()
            state.is_dicom = bool(scan.dicom_files)
            state.modality, self._modality = self._modality, ""
            self._notes = [note.text for note in scan.volume.notes if note.code != "modality.guessed"]
            self._show_modality(state.modality)
            state.value_low, state.value_high = (round(value) for value in self._viewer.value_range)
            state.shown_window, state.shown_level = self._rounded_window()
            state.limits_brush = False
            state.brush_low, state.brush_high = self._usual_intensities()
            state.margin_mm = max(_MARGIN_MM, math.ceil(min(scan.volume.spacing_mm)))  # a shorter one changes nothing
            state.error = ""
            state.tool = ""
            state.num_scans += 1  # the browser clears the prompt box
            self._estimate.show(scan.volume)
            self._show_rows()

    async def _add_segments(self, path: Path) -> None:
        """Add the segments of a file to the open scan."""
        volume_node, node = self._viewer.volume_node, self._viewer.segmentation_node
        if volume_node is None:
            message = f"{path.name} holds segments of a scan, and no scan is open."
            raise InputError(message, code="input.volume", hint="Open the scan first.")
        shape, affine = volume_node.GetImageData().GetDimensions(), ijkToRAS(volume_node)
        records = await asyncio.to_thread(read_segments_of, path, shape, affine)
        self._check_idle()
        if node is not self._viewer.segmentation_node:
            raise InputError("Another scan was opened meanwhile.", code="input.volume", hint="Open the segments again.")
        take_back = add_segments(node, volume_node, records)
        if self._history.last is None:
            self._viewer.fit_3d()
        with self._state as state:
            self._note_edit(take_back)
            count = len(records)
            state.status = (
                f"{count} segment{'s' * (count != 1)} of {path.name} {'were' if count != 1 else 'was'} added."
            )

    async def _export(self, kind: str, folder: Path) -> Path:
        self._check_idle()
        self._overlay.hide()  # a way to look at the scene, no part of it
        with self._state as state:
            state.uncertain = ""
        if kind == ARCHIVE:
            return await self._write_archive(folder)
        return export(kind, self._viewer.volume_node, self._viewer.segmentation_node, folder, self._dicom_files)

    async def _write_archive(self, folder: Path) -> Path:
        contents = self._contents()
        with self._state as state:
            state.writing, state.status = True, ""
        try:
            path, left_out = await asyncio.to_thread(contents.write, folder)
        finally:
            with self._state as state:
                state.writing = False
        with self._state as state:
            state.status = "\n".join(
                [f"{path.name} is complete." if not left_out else f"{path.name} lacks:", *left_out]
            )
        return path

    def _contents(self) -> Contents:
        """Return copies of what is written into the archive."""
        viewer, node = self._viewer, self._viewer.segmentation_node
        if viewer.volume_node is None:
            message = "No scan is open, so there is nothing to download."
            raise InputError(message, code="input.export", hint="Open one first.")
        surfaces, ids = surfaces_of(node), list(node.GetSegmentation().GetSegmentIDs())
        return Contents(
            viewer.volume_node.GetName(),
            volumeFromNode(viewer.volume_node, self._state.modality),
            recordsOf(node),
            {number for number, id_ in enumerate(ids) if hasLesions(node, id_)},
            {number: surfaces[id_] for number, id_ in enumerate(ids) if id_ in surfaces},
            viewer.pictures(),
            self._rows(),
            self._dicom_files,
        )

    def show_error(self, error: DSMError) -> None:
        """Put an error on the page."""
        with self._state as state:
            state.error = error.one_line

    def _show_defect(self, what: str, error: Exception) -> None:
        """Say on the page what nobody expected, so that it comes back to life."""
        _LOG.exception("The %s failed.", what)
        self._state.error = f"Unexpected error: {type(error).__name__}: {error} Please report it."

    def _show_progress(self, progress: Progress) -> None:
        state = self._state
        state.progress = round(100 * progress.done / progress.total) if progress.total > 1 else -1
        state.status = progressText(progress)
        state.flush()

    def _show_end(self, job: SegmentationJob) -> None:
        state = self._state
        self._missing = missing_rows(job.outcomes)
        if job.journal is not None and not job.journal.isEmpty:
            if self._history.last is None:
                self._viewer.fit_3d()
            node = job.segmentationNode
            self._note_step(UndoStep(lambda: self._runs.undoLast(node)))
        if job.state is JobState.FAILED:
            state.status, state.error = "", finishedText(job)
            return
        state.status = resultText(job)
        found = [outcome.segmentId for outcome in job.outcomes if outcome.status is OutcomeStatus.WRITTEN]
        if len(found) == 1:
            self.select(found[0])

    def _clear_prompts(self, prompts: list[str], typed: str) -> None:
        """Let the browser take these prompts out of the box, whose contents may be newer than the server's copy."""
        done = self._state.done_prompts
        names = [name.strip() for name in [*prompts, *typed.split(";")]]
        self._state.done_prompts = {"run": done["run"] + 1, "names": names}

    def _show_segments(self) -> None:
        """Update the page after a change of masks."""
        self._viewer.make_surfaces()
        self._show_rows()

    def _show_rows(self) -> None:
        state = self._state
        node = self._viewer.segmentation_node
        if node is not None:
            self._viewer.show_distinctly()
        rows = self._rows()
        state.rows = [asdict(row) for row in rows]
        ids = [row.id for row in rows if row.id]
        if state.selected not in ids:
            state.selected, state.tool = "", ""
        self._overlay.hideIfGone()
        state.uncertain = self._overlay.segmentId
        self._show_threshold()
        self._lesions.show()
        self._show_history()
        self._clicks.show()
        state.flush()

    def _rows(self) -> list[Row]:
        node = self._viewer.segmentation_node
        found = segment_rows(
            node,
            lambda segment_id: self._runs.canSetThreshold(node, segment_id),
            lambda segment_id: self._runs.uncertaintyOf(node, segment_id) is not None,
        )
        return [*found, *self._missing]

    def _show_window(self, shown_window: float, shown_level: float, **_: Any) -> None:
        shown = float(shown_window), float(shown_level)
        # Not the rounded values of a drag that is going on.
        if self._viewer.volume_node is not None and shown[0] > 0 and shown != self._rounded_window():
            self._viewer.window_level = shown

    def _note_window(self) -> None:
        if self._viewer.volume_node is not None:
            with self._state as state:
                state.shown_window, state.shown_level = self._rounded_window()

    def _usual_intensities(self) -> tuple[int, int]:
        """Range of the brush at first: soft tissue in CT, all values in MR."""
        return _SOFT_TISSUE_HU if self._state.is_ct else (self._state.value_low, self._state.value_high)

    def _rounded_window(self) -> tuple[int, int]:
        window, level = self._viewer.window_level
        return round(window), round(level)

    def auto_window(self) -> None:
        """See `Actions`."""
        if self._viewer.volume_node is not None:
            self._viewer.auto_window()

    def _show_modality(self, modality: str, **_: Any) -> None:
        """Show the modality of the scan, and other assumptions about it."""
        node, state = self._viewer.volume_node, self._state
        if node is None:
            return
        decided = decideModality(node, ModalityChoice(modality).value)
        state.is_ct = decided.modality == "CT"
        state.modalities = modality_options(decideModality(node).modality)
        state.input_notes = [decided.reason, *self._notes]
        self._show_names()

    def _show_engine(self) -> None:
        """Update what depends on model, device and precision."""
        if self._viewer.volume_node is not None:
            self._estimate.show(volumeFromNode(self._viewer.volume_node, self._state.modality))
        self._show_names()
        self._show_hints()

    def _show_names(self) -> None:
        """Update the completions, whose kinds depend on model and modality, and whether names can be clicked."""
        self._state.no_clicks = self._runs.backend.reasonNoClicks
        context = self._prompt_context
        self._state.vocabulary = completions(context.trained, context.modality, context.models, context.others)
        self._state.learned_organs = [
            {"text": group.text, "names": list(group.names)} for group in learnedGroups(context)
        ]

    @property
    def _shown_modality(self) -> str:
        """Modality of the scan; empty without one."""
        node = self._viewer.volume_node
        return decideModality(node, ModalityChoice(self._state.modality).value).modality if node is not None else ""

    @property
    def _prompt_context(self) -> PromptContext:
        """Circumstances of the next run."""
        modality = self._shown_modality
        return PromptContext(
            modality=modality,
            trained=self._engine.trained_in(modality),
            readsFreeText=self._reads_free_text,
            guess=bool(self._state.guess),
            clicks=not self._state.no_clicks,
            draws=True,
            models=self._engine.models,
            others=self._engine.others,
            onlyIn=self._engine.trained_only_in,
        )

    def _show_hints(self, **_: Any) -> None:
        """Show for each prompt how it will be segmented."""
        state = self._state
        hints = promptHints("; ".join([*state.prompts, state.typed or ""]), self._prompt_context)
        state.hints = [{"level": hint.level.name.lower(), "text": str(hint)} for hint in hints]

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
        last, kind = self._history.last, ("threshold", segment_id)
        if last is None or last.kind != kind:
            self._note_step(UndoStep(journaled(node, segment_id), kind))
        self._history.forget_redo()
        self._runs.setThreshold(node, segment_id, float(segment_threshold), postprocess=True, overEdits=True)
        self._show_segments()

    def _use_tool(self, tool: str, brush_mm: float, selected: str, **_: Any) -> None:
        if tool in CLICK_TOOLS and selected:
            self._clicks.use(tool, selected)
            return
        # Not during a run: a stroke between two of its results could not be taken back on its own.
        tool = "" if self._runs.isRunning else tool or ""
        limits = (_number(self._state.brush_low), _number(self._state.brush_high))
        self._edits.use(tool, selected, float(brush_mm), limits if self._state.limits_brush else None)
        self._clicks.show()

    def _note_step(self, step: UndoStep) -> None:
        self._history.note(step)
        self._show_history()

    def _note_small_step(self, take_back: Callable[[], bool]) -> None:
        """Record a change that no mask took part in, and update the list."""
        self._note_step(UndoStep(take_back, is_small=True))
        self._show_rows()

    def _note_edit(self, take_back: Callable[[], bool]) -> None:
        self._note_step(UndoStep(take_back))
        self._show_segments()

    def _show_history(self) -> None:
        self._state.can_undo = self._history.last is not None
        self._state.can_redo = self._history.can_redo

    def _show_restored(self) -> None:
        """Update the page after the mask from before the clicks came back."""
        self._history.forget_redo()
        self._show_segments()


def _number(text: Any) -> float:
    """Return what a number box of the page holds; 0 for an empty one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0
