"""The whole way through the real worker process: MRML volume, worker, MRML segments."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import mask_in, roi_node, segment_ids, tag_of
from real_runs import LARGE, body_node, counted_clients, node_ids, poll_until, wait_until

from dsm.client.cancel_token import CancelToken
from dsm.client.process import WorkerClient
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.errors import ModelError, WorkerError
from dsm.models.store import model_entry
from dsm.text.prompt import parse_prompts
from DSMSegmentLib import JobOptions, JobState, OutcomeStatus, Runs, SegmentationJob, WorkerBackend, volumeFromNode

# On one process: each worker takes a core and a second to start.
pytestmark = pytest.mark.xdist_group("slicer_worker")

PROMPTS = ["liver", "spleen", "liver tumor"]
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def backend(dsm_tiny: Path) -> Iterator[WorkerBackend]:
    backend = WorkerBackend(str(dsm_tiny), environment=ENVIRONMENT)
    yield backend
    backend.close()


@pytest.fixture
def volume() -> Any:
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return body_node()


@pytest.fixture
def large_volume(volume: Any) -> Any:
    """A volume that takes seconds to encode, so that there is time to interrupt it."""
    return body_node(LARGE, "Large")


def test_segments_are_what_the_engine_computes(volume: Any, backend: WorkerBackend, dsm_tiny: Path) -> None:
    from dsm.inference.segmenter import Segmenter

    expected = Segmenter.from_pretrained(dsm_tiny).encode(volumeFromNode(volume)).segment(PROMPTS)
    job = SegmentationJob(volume, PROMPTS, backend)
    assert job.wait() is JobState.FINISHED, job.error
    assert [outcome.prompt.name for outcome in job.outcomes] == PROMPTS
    assert any(result.found for result in expected), "the tiny model found nothing: the test is void"
    for outcome, result in zip(job.outcomes, expected, strict=True):
        assert (outcome.status is OutcomeStatus.WRITTEN) == result.found
        assert outcome.score == pytest.approx(result.score, abs=1e-6)
        if result.found:
            assert outcome.volumeMl == pytest.approx(result.volume_ml)
            mask = mask_in(job.segmentationNode, outcome.segmentId, volume)
            np.testing.assert_array_equal(mask, result.full_mask())


def test_segments_say_which_model_made_them(volume: Any, backend: WorkerBackend, dsm_tiny: Path) -> None:
    job = SegmentationJob(volume, "liver", backend)
    job.wait()
    segment = job.segmentationNode.GetSegmentation().GetSegment(job.outcomes[0].segmentId)
    assert tag_of(segment, "DSM.ModelSHA256") == model_entry(dsm_tiny).digest
    assert tag_of(segment, "DSM.Model") == "dsm-tiny"
    assert tag_of(segment, "DSM.Device") == "cpu"
    assert tag_of(segment, "DICOM.SegmentAlgorithmName").startswith("DSMSegment dsm-tiny ")


def test_worker_stays_warm_and_leaves_no_files(volume: Any, backend: WorkerBackend) -> None:
    SegmentationJob(volume, "liver", backend).wait()
    pid = backend.workerPid
    job = SegmentationJob(volume, "spleen", backend)
    assert job.wait() is JobState.FINISHED
    assert backend.workerPid == pid
    assert backend._client is not None
    assert list(backend._client.folder.iterdir()) == []


def test_a_volume_is_sent_once_and_again_where_the_worker_forgot_it(
    volume: Any, backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    put = WorkerClient.put
    monkeypatch.setattr(WorkerClient, "put", lambda client, array: (sent.append(client), put(client, array))[1])
    backend.release()
    jobs = [SegmentationJob(volume, prompts, backend) for prompts in ("liver", "spleen", "liver")]
    assert [job.wait() for job in jobs] == [JobState.FINISHED] * 3
    assert len(sent) == 1
    backend.release()
    assert SegmentationJob(volume, "liver", backend).wait() is JobState.FINISHED
    assert len(sent) == 2
    changed = slicer.util.arrayFromVolume(volume)
    changed[0, 0, 0] += 1
    volume.GetImageData().Modified()
    assert SegmentationJob(volume, "liver", backend).wait() is JobState.FINISHED
    assert len(sent) == 3
    # An encoding of the whole serves a region.
    region = JobOptions(roi=roi_node(volume, (3, 4, 3), (6, 8, 5)))
    assert SegmentationJob(volume, "liver", backend, options=region).wait() is JobState.FINISHED
    assert len(sent) == 3


def test_cancel_takes_effect_within_two_seconds(large_volume: Any, backend: WorkerBackend) -> None:
    before = node_ids()
    job = SegmentationJob(large_volume, PROMPTS, backend)
    job.start()
    poll_until(job, lambda: job.progress.stage == "encode")
    start_s = time.monotonic()
    job.cancel()
    poll_until(job, lambda: job.isOver)
    # Two seconds until the worker is killed, and one for a machine that is busy.
    assert time.monotonic() - start_s < 3.0
    assert job.state is JobState.CANCELLED
    assert node_ids() == before


def test_killed_worker_leaves_the_scene_as_it_was_and_the_next_run_works(
    large_volume: Any, volume: Any, backend: WorkerBackend
) -> None:
    before = node_ids()
    job = SegmentationJob(large_volume, PROMPTS, backend)
    job.start()
    poll_until(job, lambda: job.progress.stage == "encode")
    pid = backend.workerPid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    poll_until(job, lambda: job.isOver)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "worker.died"
    assert node_ids() == before
    again = SegmentationJob(volume, "liver", backend)
    assert again.wait() is JobState.FINISHED
    assert backend.workerPid != pid
    assert segment_ids(again.segmentationNode) == [outcome.segmentId for outcome in again.outcomes if outcome.segmentId]


def test_missing_model_is_said_before_a_process_starts(volume: Any) -> None:
    backend = WorkerBackend("dsm-nowhere")
    job = SegmentationJob(volume, "liver", backend)
    assert job.wait() is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "no_model"
    assert backend.workerPid is None


def test_interpreter_that_does_not_exist_is_said_clearly(volume: Any, dsm_tiny: Path) -> None:
    job = SegmentationJob(volume, "liver", WorkerBackend(str(dsm_tiny), python="/nowhere/python"))
    assert job.wait() is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "worker.start"
    assert "/nowhere/python" in str(job.error)


def test_maps_of_probability_and_uncertainty_come_with_their_place(volume: Any, backend: WorkerBackend) -> None:
    runs = Runs(backend)
    job = runs.segment(
        volume, "liver; liver tumor", options=JobOptions(SegmentOptions(uncertainty=True)), interactive=True
    )
    assert job.wait() is JobState.FINISHED, job.error
    written = [outcome.segmentId for outcome in job.outcomes if outcome.segmentId]
    assert written, "the tiny model found nothing: the test is void"
    for segment_id in written:
        map_ = runs.uncertaintyOf(job.segmentationNode, segment_id)
        assert map_ is not None
        assert 0 <= map_.values.array.min() <= map_.values.array.max() <= 1
        inside = mask_in(job.segmentationNode, segment_id, volume).astype(bool)
        full = map_.values.paste_into(inside.shape)
        # Undecided is where the probability is near one half: at the border of the mask, in or out.
        assert full[inside].max() > 0.5
        assert runs.canSetThreshold(job.segmentationNode, segment_id)
    assert backend._client is not None
    assert list(backend._client.folder.iterdir()) == []


@pytest.fixture
def slow_start(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerBackend]:
    """A worker whose interpreter takes four seconds to start, as one on a slow disk; `python.pid` is its process."""
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\necho $$ > {tmp_path}/python.pid\nsleep 4\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    backend = WorkerBackend(str(dsm_tiny), python=str(interpreter), environment=ENVIRONMENT)
    yield backend
    backend.close()


@pytest.mark.skipif(sys.platform == "win32", reason="The slow interpreter is a shell script.")
class TestWhileTheWorkerStarts:
    def test_cancel_takes_effect_and_the_next_run_gets_the_worker(
        self, volume: Any, slow_start: WorkerBackend, tmp_path: Path
    ) -> None:
        job = SegmentationJob(volume, "liver", slow_start)
        job.start()
        wait_until((tmp_path / "python.pid").exists)
        start_s = time.monotonic()
        job.cancel()
        poll_until(job, lambda: job.isOver)
        assert time.monotonic() - start_s < 2.0
        assert job.state is JobState.CANCELLED
        again = SegmentationJob(volume, "liver", slow_start)
        assert again.wait() is JobState.FINISHED, again.error
        assert slow_start.workerPid == int((tmp_path / "python.pid").read_text())

    def test_close_leaves_no_process_and_no_folder(
        self, volume: Any, slow_start: WorkerBackend, tmp_path: Path
    ) -> None:
        job = SegmentationJob(volume, "liver", slow_start)
        job.start()
        wait_until((tmp_path / "python.pid").exists)
        wait_until(lambda: (tmp_path / "python.pid").read_text() != "")
        start_s = time.monotonic()
        slow_start.close()
        assert time.monotonic() - start_s < 2.0
        poll_until(job, lambda: job.isOver)
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.code == "worker.closed"
        assert not list((tmp_path / "temporary").iterdir())
        pid = int((tmp_path / "python.pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert slow_start.workerPid is None

    def test_whoever_began_before_a_close_starts_nothing_after_it(
        self, dsm_tiny: Path, slow_start: WorkerBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def closed_meanwhile(name: str) -> Path:
            slow_start.close()
            return dsm_tiny

        monkeypatch.setattr("DSMSegmentLib.jobs.backend.find_model", closed_meanwhile)
        with pytest.raises(WorkerError, match="closed"):
            slow_start.test()
        assert not (tmp_path / "python.pid").exists()

    def test_closed_backend_can_be_used_again(self, volume: Any, dsm_tiny: Path) -> None:
        backend = WorkerBackend(str(dsm_tiny), environment=ENVIRONMENT)
        assert SegmentationJob(volume, "liver", backend).wait() is JobState.FINISHED
        backend.close()
        assert SegmentationJob(volume, "liver", backend).wait() is JobState.FINISHED
        backend.close()


def test_scripts_that_make_a_logic_for_each_volume_share_one_warm_worker(
    volume: Any, dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import DSMSegment as module

    started = counted_clients(monkeypatch)
    shutil.copytree(dsm_tiny, tmp_path / "dsm-small")  # what scripts get that choose no model
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path))
    for prompt in ("liver", "spleen"):
        assert module.DSMSegmentLogic().segment(volume, prompt, wait=True).state is JobState.FINISHED
    one, other = module.DSMSegmentLogic(), module.DSMSegmentLogic()
    jobs = [one.segment(volume, "liver"), other.segment(volume, "liver tumor; spleen")]
    assert [job.wait() for job in jobs] == [JobState.FINISHED] * 2
    assert [job.missing for job in jobs] == [(), ()], "each run has its own results"
    other.close()
    assert len(started) == 1
    assert not started[0].folder.exists()


def test_a_run_of_clicks_encodes_nothing(with_clicks: Any, dsm_tiny: Path, volume: Any) -> None:
    click = clicked_in_the_middle(volume)
    backend = WorkerBackend(str(with_clicks(dsm_tiny)), environment=ENVIRONMENT)
    try:
        stages, results = run_prompts(backend, volume, [click])
        assert "encode" not in stages
        assert [result.prompt for result in results] == [click]
        stages, results = run_prompts(backend, volume, [click, *parse_prompts("liver")])
        assert "encode" in stages
        assert [result.prompt.name for result in results] == ["schwannoma", "liver"]
    finally:
        backend.close()


def test_a_model_without_clicks_refuses_them_before_it_encodes(backend: WorkerBackend, volume: Any) -> None:
    click = clicked_in_the_middle(volume)
    with pytest.raises(ModelError) as caught:
        run_prompts(backend, volume, [*parse_prompts("liver"), click])
    assert caught.value.code == "model.clicks"


def clicked_in_the_middle(volume: Any) -> Any:
    """Return a prompt with a click in the middle of a volume node."""
    image = volumeFromNode(volume)
    place = image.affine @ [*(length // 2 for length in image.shape), 1]
    return replace(parse_prompts("schwannoma")[0], clicks=(Click(tuple(place[:3])),))


def run_prompts(backend: WorkerBackend, volume: Any, prompts: list[Any]) -> tuple[set[str], list[Any]]:
    """Run prompts on a volume node; returns the stages of the progress, and the results."""
    stages: set[str] = set()
    results: list[Any] = []
    backend.segment(
        volumeFromNode(volume),
        prompts,
        SegmentOptions(),
        onProgress=lambda progress: stages.add(progress.stage),
        onResult=results.append,
        cancel=CancelToken(),
    )
    return stages, results
