"""Runs with clicks: a clicked segment is named, colored and coded, and is SEMIAUTOMATIC; undo takes the click back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import slicer
from acting_backend import ActingBackend, wait_for_cancel
from clicked_masks import clicked_mask
from painting import paint
from panel_backends import MASKS
from phantoms import SHAPE, mask_in, segment_ids, segment_of, tag_of

from dsm.core.click import Click
from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.errors import InputError
from DSMSegmentLib.jobs.click_runs import ClickRequest, ClickRuns
from DSMSegmentLib.jobs.job import JobOptions, JobState
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.panel.result_rows import resultRows
from DSMSegmentLib.scene.click_list import clicksOf, ensureClickList, setClicks
from DSMSegmentLib.scene.editor_bridge import EditWatch
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.segment_tags import isEditedByHand

# Voxels (5, 6, 3) and (5, 6, 5) of the volume.
HERE, THERE = (-41.0, 5.65, 90.0), (-41.0, 5.65, 96.0)


@pytest.fixture
def runs() -> Runs:
    return Runs(ActingBackend(dict(MASKS)))


def click(runs: Runs, volume: Any, node: Any, segment_id: str, name: str, *clicks: Click, **options: Any) -> Any:
    job = JobOptions(into={name: [segment_id]} if segment_id else {}, clicks={name: clicks})
    return runs.segment(volume, name, node, job, wait=True, **options)


class NotedChange:
    """A change of clicks that notes when it is undone and redone."""

    def __init__(self, name: str, noted: list[str], *, is_undone: bool = False) -> None:
        self.name, self.noted, self.is_undone = name, noted, is_undone

    def revert(self) -> NotedChange:
        self.noted.append(f"{'redo' if self.is_undone else 'undo'} {self.name}")
        return NotedChange(self.name, self.noted, is_undone=not self.is_undone)


def ball(volume: Any, clicks: Sequence[Click]) -> np.ndarray:
    return clicked_mask(ijkToRAS(volume), SHAPE, clicks)


def test_prepared_segment_is_named_colored_and_coded(runs: Runs, volume: Any) -> None:
    node, segment_id = runs.prepareSegment(volume, "schwannoma")
    segment = segment_of(node, segment_id)
    assert (segment.GetName(), segment_id) == ("schwannoma", "DSM_schwannoma")
    assert tag_of(segment, "TerminologyEntry")
    assert tag_of(segment, "DSM.Prompt") == "schwannoma"
    (row,) = resultRows(node, [])
    assert (row.name, row.label, row.edited, row.volumeMl) == ("schwannoma", "not found", False, 0.0)
    assert runs.undoLast(node)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    with pytest.raises(InputError, match="several structures"):
        runs.prepareSegment(volume, "liver; spleen")


def test_click_gives_the_segment_its_mask(runs: Runs, volume: Any) -> None:
    node, segment_id = runs.prepareSegment(volume, "schwannoma")
    job = click(runs, volume, node, segment_id, "schwannoma", Click(HERE))
    assert segment_ids(node) == [segment_id]
    np.testing.assert_array_equal(mask_in(node, segment_id, volume), ball(volume, [Click(HERE)]))
    segment = segment_of(node, segment_id)
    assert tag_of(segment, ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    assert not isEditedByHand(segment)
    (row,) = resultRows(node, job.outcomes)
    assert (row.label, row.edited) == ("found by click", False)


def test_each_run_of_clicks_is_undone_and_redone_alone(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    noted: list[str] = []
    clicks = (Click(HERE), Click(THERE, inside=False))
    click(runs, volume, node, "DSM_liver", "liver", *clicks[:1], clickChange=NotedChange("first", noted))
    click(runs, volume, node, "DSM_liver", "liver", *clicks, clickChange=NotedChange("second", noted))
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, clicks))
    runs.undoLast(node)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, clicks[:1]))
    runs.undoLast(node)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    assert runs.redoLast(node) is node
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, clicks[:1]))
    runs.redoLast(node)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, clicks))
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    assert noted == ["undo second", "undo first", "redo first", "redo second"]


class HangingBackend(ActingBackend):
    """Delivers the mask of clicks, and then has no end while it `hangs`."""

    hangs = True

    def segment(self, volume: Any, prompts: Any, options: Any, *, cancel: Any, **callbacks: Any) -> None:
        super().segment(volume, prompts, options, cancel=cancel, **callbacks)
        if self.hangs and any(prompt.clicks for prompt in prompts):
            wait_for_cancel(cancel)


def test_run_of_clicks_that_is_cancelled_after_its_result_leaves_nothing(volume: Any) -> None:
    runs, noted, arrived = Runs(HangingBackend(dict(MASKS))), [], []
    node = runs.segment(volume, "liver", wait=True, interactive=True).segmentationNode
    options = JobOptions(into={"liver": ["DSM_liver"]}, clicks={"liver": (Click(HERE),)})
    change = NotedChange("click", noted)
    job = runs.segment(volume, "liver", node, options, interactive=True, clickChange=change, onResult=arrived.append)
    while not arrived:
        runs.poll()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, [Click(HERE)]))
    runs.cancel()
    while not runs.poll():
        pass
    assert (job.state, job.outcomes) == (JobState.CANCELLED, [])
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    assert runs.canSetThreshold(node, "DSM_liver")
    assert runs.undoLast(node), "the run of the name"
    assert noted == []
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_last_click_that_goes_brings_back_what_was_before_it_and_not_before_a_cancelled_one(volume: Any) -> None:
    backend, said = HangingBackend(dict(MASKS)), []
    runs = Runs(backend)
    node = runs.segment(volume, "liver", wait=True, interactive=True).segmentationNode
    points = ensureClickList(node, "DSM_liver", volume)

    def start(request: ClickRequest) -> bool:
        options = JobOptions(into={"liver": ["DSM_liver"]}, clicks={"liver": request.clicks})
        callbacks = {"onResult": lambda _: backend.hangs and clicks.cancel(), "onFinished": clicks.finished}
        runs.segment(volume, "liver", node, options, interactive=True, clickChange=request.change, **callbacks)
        return True

    clicks = ClickRuns(runs, start, lambda: None, lambda _: None, said.append)

    def answer(*wanted: Click) -> None:
        setClicks(points, volume, wanted)
        clicks.request(node, "DSM_liver")
        while clicks.isWaiting or clicks.isRunning:
            clicks.follow()
            runs.poll()

    answer(Click(HERE))
    assert "Cancelled" in said[-1]
    assert clicksOf(points, volume) == ()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    backend.hangs, backend.masks = False, {"liver": MASKS["spleen"]}
    runs.segment(volume, "liver", node, JobOptions(into={"liver": ["DSM_liver"]}), wait=True, interactive=True)
    answer(Click(HERE))
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), ball(volume, [Click(HERE)]))
    answer()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["spleen"])


def test_click_outside_of_the_volume_changes_nothing(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    with pytest.raises(InputError, match="outside of the volume"):
        click(runs, volume, node, "DSM_liver", "liver", Click((500.0, 0.0, 0.0)))
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_painting_into_a_clicked_segment_is_an_edit_by_hand(runs: Runs, volume: Any) -> None:
    editor = slicer.vtkMRMLSegmentEditorNode()
    editor.SetSingletonTag("SegmentEditor")
    slicer.mrmlScene.AddNode(editor)
    node, segment_id = runs.prepareSegment(volume, "schwannoma")
    click(runs, volume, node, segment_id, "schwannoma", Click(HERE))
    watch = EditWatch(node)
    paint(node, segment_id, volume)
    assert watch.markEdited() == [segment_id]
    assert isEditedByHand(segment_of(node, segment_id))
    (row,) = resultRows(node, [])
    assert row.edited
    assert watch.original(segment_id) is not None
    click(runs, volume, node, segment_id, "schwannoma", Click(HERE))
    assert not isEditedByHand(segment_of(node, segment_id)), "the run replaced the edit"


def test_two_segments_of_one_name_have_masks_of_their_own(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    _same, segment_id = runs.prepareSegment(volume, "schwannoma", node)
    assert segment_ids(node) == ["DSM_liver", segment_id]
    again = runs.prepareSegment(volume, "schwannoma", node)[1]
    assert segment_of(node, again).GetName() == "schwannoma_1"
    click(runs, volume, node, again, "schwannoma", Click(HERE))
    assert not mask_in(node, segment_id, volume).any()
    assert mask_in(node, again, volume).any()
