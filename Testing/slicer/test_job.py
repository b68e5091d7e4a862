"""One run from volume node to segments: progress, cancel, failure, and what the scene looks like after each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import slicer
from acting_backend import ActingBackend, wait_for_cancel
from patience import PATIENCE_S
from phantoms import mask_in, mask_of, plain_affine, roi_node, segment_ids, volume_node

from dsm.client.cancel_token import CancelToken
from dsm.core.options import SegmentOptions
from dsm.errors import DSMError, InputError, PromptError, WorkerError
from dsm.wire.messages import Progress
from DSMSegmentLib import (
    ExistingPolicy,
    JobOptions,
    JobState,
    OutcomeStatus,
    SegmentationJob,
    SegmentOutcome,
    UndoHistory,
)
from DSMSegmentLib.jobs.fake_backend import FakeBackend

MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2), "left kidney": mask_of(seed=3)}


def die(cancel: CancelToken) -> None:
    raise WorkerError("The worker process ended unexpectedly.", code="worker.died", hint="Start it again.")


def stumble(cancel: CancelToken) -> None:
    raise ZeroDivisionError("division by zero")


@pytest.fixture
def volume() -> Any:
    # The scene makes its subject hierarchy once, at the first use, and keeps it: not a leak of any run.
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return volume_node(plain_affine())


def scene_content() -> dict[str, int]:
    """Every node with its modification time."""
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    return {node.GetID(): node.GetMTime() for node in nodes}


def poll_until(job: SegmentationJob, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        job.poll()


class TestFinishedRun:
    def test_writes_what_was_found_and_reports_the_rest(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver; pancreas; spleen", FakeBackend(MASKS))
        assert job.wait() is JobState.FINISHED
        assert [(outcome.prompt.name, outcome.status) for outcome in job.outcomes] == [
            ("liver", OutcomeStatus.WRITTEN),
            ("pancreas", OutcomeStatus.NOT_FOUND),
            ("spleen", OutcomeStatus.WRITTEN),
        ]
        assert segment_ids(job.segmentationNode) == ["DSM_liver", "DSM_spleen"]
        for name in ("liver", "spleen"):
            np.testing.assert_array_equal(mask_in(job.segmentationNode, f"DSM_{name}", volume), MASKS[name])

    def test_tells_the_host_in_order_on_its_thread(self, volume: Any) -> None:
        calls: list[tuple[str, Any]] = []
        threads = set()

        def note(kind: str) -> Callable[[Any], None]:
            def call(value: Progress | SegmentOutcome | SegmentationJob) -> None:
                threads.add(threading.current_thread())
                calls.append((kind, value))

            return call

        job = SegmentationJob(
            volume,
            "liver; spleen",
            FakeBackend(MASKS),
            onProgress=note("progress"),
            onResult=note("result"),
            onFinished=note("finished"),
        )
        job.wait()
        assert [kind for kind, _ in calls] == ["result", "progress", "result", "progress", "finished"]
        assert calls[1][1] == Progress(id="", stage="decode", done=1, total=2)
        assert calls[-1][1] is job
        assert threads == {threading.main_thread()}

    def test_same_prompt_twice_is_one_segment(self, volume: Any) -> None:
        job = SegmentationJob(volume, ["liver", "Liver", "the liver"], FakeBackend(MASKS))
        job.wait()
        assert segment_ids(job.segmentationNode) == ["DSM_liver"]

    def test_one_text_for_two_organs_gives_both(self, volume: Any) -> None:
        masks = {"left kidney": mask_of(seed=5), "right kidney": mask_of(seed=6)}
        job = SegmentationJob(volume, "kidneys", FakeBackend(masks))
        job.wait()
        for name, mask in masks.items():
            np.testing.assert_array_equal(mask_in(job.segmentationNode, f"DSM_{name.replace(' ', '_')}", volume), mask)

    def test_skipped_prompts_are_not_computed(self, volume: Any) -> None:
        first = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        first.wait()
        options = JobOptions(existing=ExistingPolicy.SKIP)
        backend = ActingBackend({}, 0, die)
        job = SegmentationJob(volume, "liver", backend, segmentationNode=first.segmentationNode, options=options)
        assert job.wait() is JobState.FINISHED
        assert [outcome.status for outcome in job.outcomes] == [OutcomeStatus.SKIPPED]
        assert not backend.delivered.is_set()

    def test_second_run_adds_no_nodes(self, volume: Any) -> None:
        first = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        first.wait()
        before = slicer.mrmlScene.GetNumberOfNodes()
        for _ in range(3):
            SegmentationJob(volume, "liver; spleen", FakeBackend(MASKS), segmentationNode=first.segmentationNode).wait()
        assert slicer.mrmlScene.GetNumberOfNodes() == before

    def test_first_run_adds_one_segmentation_with_its_display(self, volume: Any) -> None:
        before = set(scene_content())
        SegmentationJob(volume, "liver; spleen", FakeBackend(MASKS)).wait()
        added = {slicer.mrmlScene.GetNodeByID(node_id).GetClassName() for node_id in set(scene_content()) - before}
        assert added == {"vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode"}


class TestRegion:
    def test_only_the_region_is_segmented(self, volume: Any) -> None:
        options = JobOptions(roi=roi_node(volume, (3, 4, 3), (6, 8, 5)))
        job = SegmentationJob(volume, "liver", FakeBackend(MASKS), options=options)
        assert job.wait() is JobState.FINISHED
        expected = np.zeros_like(MASKS["liver"])
        expected[3:6, 4:8, 3:5] = MASKS["liver"][3:6, 4:8, 3:5]
        np.testing.assert_array_equal(mask_in(job.segmentationNode, "DSM_liver", volume), expected)

    def test_rerun_keeps_what_the_segment_has_outside(self, volume: Any) -> None:
        first = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        first.wait()
        roi = roi_node(volume, (3, 4, 3), (6, 8, 5))
        options = JobOptions(roi=roi, existing=ExistingPolicy.REPLACE)
        other = mask_of(seed=9)
        job = SegmentationJob(
            volume, "liver", FakeBackend({"liver": other}), segmentationNode=first.segmentationNode, options=options
        )
        assert job.wait() is JobState.FINISHED
        expected = MASKS["liver"].copy()
        expected[3:6, 4:8, 3:5] = other[3:6, 4:8, 3:5]
        np.testing.assert_array_equal(mask_in(job.segmentationNode, "DSM_liver", volume), expected)

    def test_region_outside_of_the_volume_is_said_before_the_run(self, volume: Any) -> None:
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        roi.SetCenter(5000, 0, 0)
        roi.SetSize(1, 1, 1)
        with pytest.raises(InputError, match="outside"):
            SegmentationJob(volume, "liver", FakeBackend(MASKS), options=JobOptions(roi=roi))

    def test_region_that_was_not_placed_is_said_before_the_run(self, volume: Any) -> None:
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        with pytest.raises(InputError, match="R was not placed yet") as caught:
            SegmentationJob(volume, "liver", FakeBackend(MASKS), options=JobOptions(roi=roi))
        assert "choose none" in caught.value.hint


class TestResponsiveness:
    def test_one_poll_does_not_write_everything_at_once(self, volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten writes of 20 ms that have all arrived: a poll takes two or so of them and comes back."""
        names = [f"thing {number}" for number in range(10)]
        backend = ActingBackend({}, 9, lambda _: None)
        job = SegmentationJob(volume, names, backend, onResult=lambda _: time.sleep(0.02))
        job.start()
        assert backend.delivered.wait(20)
        job.poll()
        assert 1 <= len(job.outcomes) < 5
        assert job.wait() is JobState.FINISHED
        assert len(job.outcomes) == 10

    def test_empty_segments_are_kept_when_wanted(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver; spleen", FakeBackend({}), options=JobOptions(keepEmpty=True))
        job.wait()
        assert [outcome.status for outcome in job.outcomes] == [OutcomeStatus.NOT_FOUND] * 2
        assert segment_ids(job.segmentationNode) == ["DSM_liver", "DSM_spleen"]


class TestCancelledRun:
    def test_keeps_what_was_finished(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver; spleen", ActingBackend(MASKS, 1, wait_for_cancel))
        job.start()
        poll_until(job, lambda: len(job.outcomes) == 1)
        job.cancel()
        assert job.wait() is JobState.CANCELLED
        assert segment_ids(job.segmentationNode) == ["DSM_liver"]

    def test_writes_nothing_after_the_cancel(self, volume: Any) -> None:
        before = scene_content()
        backend = ActingBackend(MASKS, 2, wait_for_cancel)
        job = SegmentationJob(volume, "liver; spleen; left kidney", backend)
        job.start()
        assert backend.delivered.wait(20)  # two results lie in the queue, none is in the scene
        job.cancel()
        assert job.wait() is JobState.CANCELLED
        assert (job.outcomes, job.segmentationNode) == ([], None)
        assert scene_content() == before

    def test_before_the_start_needs_no_backend(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver", ActingBackend(MASKS, 0, die))
        job.cancel()
        assert job.wait() is JobState.CANCELLED

    def test_ctrl_c_in_a_script_stops_the_backend(self, volume: Any) -> None:
        def interrupt(progress: Progress) -> None:
            raise KeyboardInterrupt

        job = SegmentationJob(volume, "liver; spleen", ActingBackend(MASKS, 1, wait_for_cancel), onProgress=interrupt)
        with pytest.raises(KeyboardInterrupt):
            job.wait()
        assert job.state is JobState.CANCELLED


class TestFailedRun:
    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_dead_worker_leaves_what_was_finished_and_names_the_rest(self, volume: Any, after: int) -> None:
        before = set(scene_content())
        names = ["liver", "spleen", "left kidney"]
        job = SegmentationJob(volume, names, ActingBackend(MASKS, after, die))
        assert job.wait() is JobState.FAILED
        assert job.error is not None
        assert job.error.code == "worker.died"
        assert [outcome.prompt.name for outcome in job.outcomes] == names[:after]
        assert [prompt.name for prompt in job.missing] == names[after:]
        if after:
            assert segment_ids(job.segmentationNode) == [f"DSM_{name}" for name in names[:after]]
        else:
            assert set(scene_content()) == before

    def test_failed_run_can_be_taken_back(self, volume: Any) -> None:
        first = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        first.wait()
        node = first.segmentationNode
        options = JobOptions(existing=ExistingPolicy.REPLACE)
        backend = ActingBackend({"liver": mask_of(seed=9)}, 1, die)
        job = SegmentationJob(volume, "liver; spleen", backend, segmentationNode=node, options=options)
        node.GetSegmentation().AddEmptySegment("drawn", "drawn meanwhile")
        array = np.ascontiguousarray(mask_of(seed=8).transpose(2, 1, 0))
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "drawn", volume)
        assert job.wait() is JobState.FAILED
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=9))
        job.journal.revert()
        assert segment_ids(node) == ["DSM_liver", "drawn"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        np.testing.assert_array_equal(mask_in(node, "drawn", volume), mask_of(seed=8))

    def test_defect_becomes_an_error_that_can_be_shown(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver", ActingBackend(MASKS, 0, stumble))
        assert job.wait() is JobState.FAILED
        assert job.error is not None
        assert "ZeroDivisionError" in str(job.error)
        assert isinstance(job.error.__cause__, ZeroDivisionError)

    def test_mask_that_cannot_be_written_ends_the_run(self, volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any) -> bool:
            return False

        monkeypatch.setattr("DSMSegmentLib.scene.writer.setSegmentMask", refuse)
        before = set(scene_content())
        job = SegmentationJob(volume, "liver; spleen", ActingBackend(MASKS, 1, wait_for_cancel))
        assert job.wait() is JobState.FAILED
        assert job.error is not None
        assert job.error.code == "output.segment"
        assert set(scene_content()) == before


class TestSceneThatChangesUnderTheRun:
    @pytest.mark.parametrize("what", ["scene", "volume", "segmentation"])
    def test_closed_scene_or_deleted_node_cancels(self, volume: Any, what: str) -> None:
        job = SegmentationJob(volume, "liver; spleen", ActingBackend(MASKS, 1, wait_for_cancel))
        job.start()
        poll_until(job, lambda: len(job.outcomes) == 1)
        if what == "scene":
            slicer.mrmlScene.Clear(False)
        else:
            slicer.mrmlScene.RemoveNode(volume if what == "volume" else job.segmentationNode)
        assert job.wait() is JobState.CANCELLED
        assert len(job.outcomes) == 1


class TestUndo:
    def test_takes_back_run_by_run_and_nothing_else(self, volume: Any) -> None:
        history = UndoHistory()
        first = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        first.wait()
        node = first.segmentationNode
        history.add(node, first.journal)
        second = SegmentationJob(
            volume,
            "liver; spleen",
            FakeBackend({**MASKS, "liver": mask_of(seed=9)}),
            segmentationNode=node,
            options=JobOptions(existing=ExistingPolicy.REPLACE),
        )
        second.wait()
        history.add(node, second.journal)
        node.GetSegmentation().AddEmptySegment("drawn", "by hand")
        assert history.undoLast(node)
        assert segment_ids(node) == ["DSM_liver", "drawn"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        assert history.undoLast(node)
        assert segment_ids(node) == ["drawn"]
        assert not history.canUndo(node)
        assert not history.undoLast(node)

    def test_run_without_a_finding_is_no_step(self, volume: Any) -> None:
        history = UndoHistory()
        job = SegmentationJob(volume, "liver", FakeBackend({}))
        job.wait()
        history.add(job.segmentationNode, job.journal)
        assert not history.canUndo(job.segmentationNode)

    def test_only_the_last_three_are_kept(self, volume: Any) -> None:
        history = UndoHistory()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        for _ in range(5):
            job = SegmentationJob(volume, "liver", FakeBackend(MASKS), segmentationNode=node)
            job.wait()
            history.add(node, job.journal)
        assert [history.undoLast(node) for _ in range(4)] == [True, True, True, False]
        assert len(segment_ids(node)) == 2


class TestBadInput:
    def test_empty_prompt(self, volume: Any) -> None:
        with pytest.raises(PromptError):
            SegmentationJob(volume, " ; \n", FakeBackend(MASKS))

    def test_no_volume(self) -> None:
        with pytest.raises(InputError):
            SegmentationJob(None, "liver", FakeBackend(MASKS))

    @pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, 2.0, float("nan")])
    def test_threshold_out_of_range(self, threshold: float) -> None:
        with pytest.raises(InputError, match="threshold"):
            JobOptions(SegmentOptions(threshold=threshold))

    def test_job_runs_once(self, volume: Any) -> None:
        job = SegmentationJob(volume, "liver", FakeBackend(MASKS))
        job.wait()
        with pytest.raises(DSMError, match="once"):
            job.start()


@pytest.mark.parametrize("model", ["", "dsm-head-heart"])
def test_encoding_time_is_known_if_the_chosen_model_alone_segmented(volume: Any, model: str) -> None:
    class Encodes(FakeBackend):
        def segment(self, *arguments: Any, onProgress: Any, onResult: Any, **how: Any) -> None:
            for stage, done, total in (("load", 0, 1), ("encode", 9, 9)):
                onProgress(Progress(id="", stage=stage, done=done, total=total))
            super().segment(
                *arguments, onProgress=onProgress, onResult=lambda one: onResult(replace(one, model=model)), **how
            )

    job = SegmentationJob(volume, "liver", Encodes(MASKS))
    job.wait()
    assert (job.encodeSeconds is not None) == (model == "")
