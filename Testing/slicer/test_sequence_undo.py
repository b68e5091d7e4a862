"""A run over all sequence items is one step of undo and redo; nodes, items and what a person added are as before it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from acting_backend import ActingBackend, wait_for_cancel
from phantoms import (
    SHAPE,
    browser_of_frames,
    mask_in,
    mask_of,
    plain_affine,
    roi_node,
    segment_ids,
    volume_node,
)
from real_runs import node_ids

from dsm.errors import InputError
from DSMSegmentLib import JobOptions, JobState, Runs, SegmentationJob
from DSMSegmentLib.jobs.sequences import SequenceRun
from DSMSegmentLib.panel.summary import finishedText
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, orientedImageFromSegment
from DSMSegmentLib.scene.policy import ExistingPolicy
from DSMSegmentLib.scene.sequence_item import browserOf

FRAMES = (-1000, 0, 100)
LIVERS = {value: mask_of(seed=seed) for seed, value in enumerate(FRAMES, start=1)}
SPLEEN = mask_of(seed=9)


class BackendByTime(ActingBackend):
    """Finds another liver at each sequence item; tells sequence items by their only value."""

    def segment(self, volume: Any, prompts: Any, options: Any, **callbacks: Any) -> None:
        self.masks = {"liver": self._liver(int(volume.array[0, 0, 0])), "spleen": SPLEEN}
        super().segment(volume, prompts, options, **callbacks)

    @staticmethod
    def _liver(frame: int) -> np.ndarray:
        return LIVERS[frame]


class BackendOfLater(BackendByTime):
    """Has changed its mind about the liver, at every sequence item."""

    @staticmethod
    def _liver(frame: int) -> np.ndarray:
        return SPLEEN


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine())


@pytest.fixture
def browser(volume: Any) -> Any:
    return browser_of_frames(volume, FRAMES)


@pytest.fixture
def backend() -> BackendByTime:
    return BackendByTime({})


@pytest.fixture
def runs(backend: BackendByTime) -> Runs:
    return Runs(backend)


@pytest.fixture
def assert_untouched(host: Any, browser: Any, volume: Any) -> Callable[[], None]:
    """A check that nodes, files, hierarchy, browser and image are what they are now."""

    def described() -> tuple[Any, ...]:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        return (
            node_ids(),
            sorted(str(path) for path in Path(host.folder).rglob("*")),
            hierarchy.GetNumberOfItems(),
            browser.GetNumberOfSynchronizedSequenceNodes(True),
            browser.GetNumberOfItems(),
            browser.GetSelectedItemNumber(),
            slicer.util.arrayFromVolume(volume).tolist(),
        )

    before = described()

    def check() -> None:
        assert described() == before

    return check


def sequence_of(run: SequenceRun) -> Any:
    return slicer.mrmlScene.GetNthNodeByClass(1, "vtkMRMLSequenceNode")


def test_undo_leaves_nothing_of_the_run(runs: Runs, volume: Any, assert_untouched: Callable[[], None]) -> None:
    node = runs.segmentSequence(volume, "liver; spleen", wait=True).segmentationNode
    assert runs.canUndo(node)
    assert runs.undoLast(node)
    assert_untouched()
    assert not runs.undoLast(node)


def test_run_adds_one_segmentation_and_one_sequence(runs: Runs, volume: Any, browser: Any) -> None:
    before = node_ids()
    runs.segmentSequence(volume, "liver", wait=True)
    added = [slicer.mrmlScene.GetNodeByID(id_).GetClassName() for id_ in node_ids() - before]
    assert sorted(added) == ["vtkMRMLSegmentationDisplayNode", "vtkMRMLSegmentationNode", "vtkMRMLSequenceNode"]


def test_undo_at_another_sequence_item_stays_there(runs: Runs, volume: Any, browser: Any) -> None:
    before = node_ids()
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(2)
    assert runs.undoLast(node)
    assert node_ids() == before
    assert browser.GetSelectedItemNumber() == 2


def test_cancelled_run_keeps_what_was_finished_and_is_taken_back(
    runs: Runs, backend: BackendByTime, volume: Any, browser: Any, assert_untouched: Callable[[], None]
) -> None:
    num_started = iter(range(len(FRAMES)))

    def hang_in_the_second(cancel: Any) -> None:
        if next(num_started) == 1:
            wait_for_cancel(cancel)

    backend.after, backend.act = 1, hang_in_the_second
    run = runs.segmentSequence(volume, "liver; spleen")
    while not (browser.GetSelectedItemNumber() == 1 and run._job.outcomes):
        run.poll()
    runs.cancel()
    run.wait()
    assert run.state is JobState.CANCELLED
    assert [segment_ids(sequence_of(run).GetNthDataNode(n)) for n in range(2)] == [
        ["DSM_liver", "DSM_spleen"],
        ["DSM_liver"],
    ]
    assert sequence_of(run).GetNumberOfDataNodes() == 2
    assert finishedText(run._job) == "Cancelled. 3 found; not segmented: spleen."
    assert runs.undoLast(run.segmentationNode)
    assert_untouched()


def test_run_that_was_cancelled_before_its_first_result_leaves_nothing(
    runs: Runs, backend: BackendByTime, volume: Any, assert_untouched: Callable[[], None]
) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    run = runs.segmentSequence(volume, "liver")
    runs.cancel()
    assert run.wait() is JobState.CANCELLED
    assert_untouched()
    assert not runs.canUndo(run.segmentationNode)


def shift_frame(volume: Any, number: int, mm: float) -> None:
    """Move one sequence item of the image to the patient's left."""
    browser = browserOf(volume)
    frame = browser.GetSequenceNode(volume).GetNthDataNode(number)
    x, y, z = frame.GetOrigin()
    frame.SetOrigin(x - mm, y, z)


def test_run_whose_later_sequence_item_cannot_start_is_taken_back(runs: Runs, volume: Any, browser: Any) -> None:
    options = JobOptions(roi=roi_node(volume, (0, 0, 0), SHAPE))
    shift_frame(volume, 2, 1000.0)
    before, shown, threads = node_ids(), browser.GetSelectedItemNumber(), set(threading.enumerate())
    ends: list[Any] = []
    run = runs.segmentSequence(volume, "liver", options, onFinished=ends.append)
    assert run.wait() is JobState.FAILED
    assert not runs.isRunning
    (end,) = ends
    assert finishedText(end) == (
        "Sequence item 3: R lies outside of CT. Move the ROI over the volume, or choose none. 2 found."
    )
    assert browser.GetSelectedItemNumber() == shown
    found = sequence_of(run)
    assert [segment_ids(found.GetNthDataNode(n)) for n in range(found.GetNumberOfDataNodes())] == [["DSM_liver"]] * 2
    browser.SetSelectedItemNumber(2)
    assert segment_ids(run.segmentationNode) == []
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
        assert not thread.is_alive()
    assert runs.undoLast(run.segmentationNode)
    assert node_ids() == before


def test_defect_between_two_sequence_items_ends_the_run(
    runs: Runs, volume: Any, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.segmentSequence(volume, "liver")
    monkeypatch.setattr(SegmentationJob, "start", lambda _: 1 / 0)  # no input is known that does this
    assert run.wait() is JobState.FAILED
    assert "Sequence item 2: it could not be started (ZeroDivisionError" in str(run.error)
    assert sequence_of(run).GetNumberOfDataNodes() == 1


def test_waiting_for_a_run_whose_later_sequence_item_cannot_start_raises(runs: Runs, volume: Any, browser: Any) -> None:
    options = JobOptions(roi=roi_node(volume, (0, 0, 0), SHAPE))
    shift_frame(volume, 1, 1000.0)
    with pytest.raises(InputError, match="Sequence item 2: R lies outside of CT"):
        runs.segmentSequence(volume, "liver", options, wait=True)


def test_segments_that_a_person_added_stay(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(2)
    node.GetSegmentation().AddEmptySegment("mine", "by hand")
    assert runs.undoLast(node)
    assert segment_ids(node) == ["mine"]
    for item, expected in ((0, []), (1, []), (2, ["mine"])):
        browser.SetSelectedItemNumber(item)
        assert segment_ids(node) == expected
    assert not runs.canUndo(node)


def test_scene_that_was_closed_is_left_alone(runs: Runs, volume: Any, browser: Any) -> None:
    run = runs.segmentSequence(volume, "liver", wait=True)
    slicer.mrmlScene.Clear(False)
    run.journal.revert()
    assert not node_ids() & {run.segmentationNode.GetID()}


def test_sequence_that_was_deleted_by_hand_is_no_reason_to_fail(runs: Runs, volume: Any, browser: Any) -> None:
    run = runs.segmentSequence(volume, "liver", wait=True)
    slicer.mrmlScene.RemoveNode(sequence_of(run))
    assert runs.undoLast(run.segmentationNode)
    assert segment_ids(run.segmentationNode) == ["DSM_liver"]


def test_deleting_the_segmentation_during_the_run_ends_it_without_a_trace(
    runs: Runs, backend: BackendByTime, volume: Any, browser: Any
) -> None:
    before = node_ids()
    backend.after, backend.act = 1, wait_for_cancel
    run = runs.segmentSequence(volume, "liver; spleen")
    while not backend.delivered.is_set():
        run.poll()
    slicer.mrmlScene.RemoveNode(run.segmentationNode)
    run.wait()
    left = {slicer.mrmlScene.GetNodeByID(id_).GetClassName() for id_ in node_ids() - before}
    assert "vtkMRMLSequenceNode" not in left
    assert browser.GetSelectedItemNumber() == 1


def test_later_run_at_one_sequence_item_is_taken_back_there(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(0)
    runs.use(BackendOfLater({}))
    runs.segment(volume, "liver", node, JobOptions(existing=ExistingPolicy.REPLACE), wait=True)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), SPLEEN)
    browser.SetSelectedItemNumber(1)
    assert runs.undoLast(node)
    for item, value in enumerate(FRAMES):
        browser.SetSelectedItemNumber(item)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVERS[value])
    assert runs.undoLast(node), "the run over all sequence items is still a step"
    assert node.GetScene() is None


@pytest.mark.parametrize("gone", [0, 2])
def test_run_at_one_sequence_item_is_taken_back_there_after_a_sequence_item_was_deleted(
    runs: Runs, volume: Any, browser: Any, gone: int
) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(2)
    runs.use(BackendOfLater({}))
    runs.segment(volume, "liver", node, JobOptions(existing=ExistingPolicy.REPLACE), wait=True)
    browser.SetSelectedItemNumber(1)
    for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")):
        slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLSequenceNode").RemoveDataNodeAtValue(str(gone))
    browser.SetSelectedItemNumber(0)
    assert runs.undoLast(node)
    left = [value for number, value in enumerate(FRAMES) if number != gone]
    for item, value in enumerate(left):
        browser.SetSelectedItemNumber(item)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVERS[value])


def test_run_into_a_sequence_that_is_there_is_taken_back_at_all_sequence_items(
    runs: Runs, volume: Any, browser: Any
) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    before = node_ids()
    runs.use(BackendOfLater({}))
    options = JobOptions(into={"liver": ["DSM_liver"]})
    assert runs.segmentSequence(volume, "liver", options, segmentationNode=node, wait=True).segmentationNode is node
    assert node_ids() == before
    assert browser.GetSelectedItemNumber() == 1
    for item in range(len(FRAMES)):
        browser.SetSelectedItemNumber(item)
        assert segment_ids(node) == ["DSM_liver"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), SPLEEN)
    browser.SetSelectedItemNumber(0)
    assert runs.undoLast(node)
    assert browser.GetSelectedItemNumber() == 0
    for item, value in enumerate(FRAMES):
        browser.SetSelectedItemNumber(item)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVERS[value])
    assert runs.undoLast(node), "the run that made the sequence is still a step"
    assert node.GetScene() is None


def voxels_of(node: Any, segment_id: str) -> set[tuple[int, ...]]:
    """Return the indices of the voxels of a segment; unlike `mask_in`, this adds no node to the scene."""
    crop = cropFromOrientedImage(orientedImageFromSegment(node, segment_id))
    return set(map(tuple, (np.argwhere(crop.array) + crop.offset_ijk).tolist()))


def shown_at_each_item(browser: Any, node: Any) -> list[dict[str, Any]]:
    """Return the masks that a segmentation shows, by segment id, at each sequence item."""
    shown, masks = browser.GetSelectedItemNumber(), []
    for item in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(item)
        masks.append({id_: voxels_of(node, id_) for id_ in segment_ids(node)})
    browser.SetSelectedItemNumber(shown)
    return masks


def test_redo_brings_the_sequence_back(
    runs: Runs, volume: Any, browser: Any, assert_untouched: Callable[[], None]
) -> None:
    node = runs.segmentSequence(volume, "liver; spleen", wait=True).segmentationNode
    nodes, masks = node_ids(), shown_at_each_item(browser, node)
    assert [list(at_item) for at_item in masks] == [["DSM_liver", "DSM_spleen"]] * 3
    for _ in range(2):
        assert runs.undoLast(node)
        assert_untouched()
        assert runs.redoLast(None) is node
        assert node_ids() == nodes
        assert browserOf(node) is browser
        assert shown_at_each_item(browser, node) == masks
        assert not runs.canRedo(node)


def test_redo_leaves_what_a_person_added(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(2)
    node.GetSegmentation().AddEmptySegment("mine", "by hand")
    masks = shown_at_each_item(browser, node)
    for _ in range(2):
        assert runs.undoLast(node)
        assert [list(at_item) for at_item in shown_at_each_item(browser, node)] == [[], [], ["mine"]]
        assert runs.redoLast(node) is node
        assert shown_at_each_item(browser, node) == masks


def test_redo_of_a_run_into_a_sequence_that_is_there(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    before = shown_at_each_item(browser, node)
    runs.use(BackendOfLater({}))
    runs.segmentSequence(volume, "liver", JobOptions(into={"liver": ["DSM_liver"]}), segmentationNode=node, wait=True)
    after = shown_at_each_item(browser, node)
    assert before != after
    browser.SetSelectedItemNumber(0)
    for _ in range(2):
        assert runs.undoLast(node)
        assert shown_at_each_item(browser, node) == before
        assert runs.redoLast(node) is node
        assert browser.GetSelectedItemNumber() == 0
        assert shown_at_each_item(browser, node) == after


def test_run_at_a_sequence_item_that_was_deleted_cannot_be_redone(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    browser.SetSelectedItemNumber(2)
    runs.segment(volume, "spleen", node, wait=True)
    for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")):
        slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLSequenceNode").RemoveDataNodeAtValue("2")
    browser.SetSelectedItemNumber(0)
    assert runs.undoLast(node)
    assert not runs.canRedo(node)
    assert segment_ids(node) == ["DSM_liver"]


def test_sequence_whose_browser_was_deleted_stays_away(runs: Runs, volume: Any, browser: Any) -> None:
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    assert runs.undoLast(node)
    slicer.mrmlScene.RemoveNode(browser)
    nodes = node_ids()
    runs.redoLast(None)
    assert node_ids() == nodes
