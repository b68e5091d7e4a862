"""The whole way through a real server: MRML volume, HTTP, worker, MRML segments."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import slicer
from http_server import TOKENS, Server
from phantoms import mask_in, segment_ids, tag_of
from real_runs import LARGE, body_node, node_ids, poll_until, wait_until

from dsm.client.cancel_token import CancelToken
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.errors import ModelError
from dsm.models.store import model_entry
from dsm.text.prompt import parse_prompts
from DSMSegmentLib import (
    JobOptions,
    JobState,
    OutcomeStatus,
    RemoteBackend,
    Runs,
    SegmentationJob,
    WorkerBackend,
    volumeFromNode,
)

pytestmark = pytest.mark.xdist_group("slicer_worker")

TOKEN = TOKENS["anna"]
PROMPTS = ["liver", "aorta", "kidneys"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running.wait_until_ready()


@pytest.fixture
def backend(server: Server) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(server.address, TOKEN, uploadAllowed=True)
    yield backend
    backend.close()


@pytest.fixture
def volume() -> Any:
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return body_node()


def uploads(server: Server) -> int:
    return sum("POST /volumes " in line for line in server.log)


def described(job: SegmentationJob, volume: Any) -> list[tuple[object, ...]]:
    return [
        (
            outcome.prompt.name,
            outcome.status,
            outcome.score,
            outcome.volumeMl,
            outcome.warnings,
            mask_in(job.segmentationNode, outcome.segmentId, volume).tobytes() if outcome.segmentId else b"",
        )
        for outcome in job.outcomes
    ]


def test_a_server_gives_the_segments_that_this_computer_gives(
    volume: Any, backend: RemoteBackend, server: Server, dsm_tiny: Path
) -> None:
    local = WorkerBackend(str(dsm_tiny), environment={"OMP_NUM_THREADS": "1"})
    try:
        here = SegmentationJob(volume, PROMPTS, local)
        assert here.wait() is JobState.FINISHED, here.error
    finally:
        local.close()
    there = SegmentationJob(volume, PROMPTS, backend)
    assert there.wait() is JobState.FINISHED, there.error
    assert described(there, volume) == described(here, volume)
    assert any(outcome.status is OutcomeStatus.WRITTEN for outcome in there.outcomes), "the test is void"
    segment = there.segmentationNode.GetSegmentation().GetSegment(segment_ids(there.segmentationNode)[0])
    assert tag_of(segment, "DSM.Model") == "dsm-tiny"
    assert tag_of(segment, "DSM.ModelSHA256") == model_entry(dsm_tiny).digest
    assert tag_of(segment, "DSM.Device") == server.address


def test_a_later_run_sends_nothing_and_closing_removes_the_volume(
    volume: Any, backend: RemoteBackend, server: Server
) -> None:
    before = uploads(server)
    stages: list[str] = []
    for prompt in ("liver", "spleen"):
        stages.clear()
        job = SegmentationJob(volume, prompt, backend, onProgress=lambda progress: stages.append(progress.stage))
        assert job.wait() is JobState.FINISHED, job.error
    assert uploads(server) == before + 1
    assert not {"upload", "encode"} & set(stages)
    assert backend._client is not None
    assert server.connection().call("GET", "/healthz")["waiting_jobs"] == 0
    backend.close()
    wait_until(lambda: server.voxel_files == [])


def test_nothing_is_sent_without_consent(volume: Any, server: Server) -> None:
    lines = len(server.log)
    before = node_ids()
    backend = RemoteBackend(server.address, TOKEN)
    job = SegmentationJob(volume, "liver", backend)
    assert job.wait() is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "remote.consent"
    assert len(server.log) == lines
    assert node_ids() == before
    # A consent is for one address.
    backend.uploadAllowed = True
    backend.choose(server.address, "another-token-0123456789")
    assert backend.uploadAllowed
    backend.choose("http://127.0.0.1:1", TOKEN)
    assert not backend.uploadAllowed


def test_the_patient_is_not_sent(volume: Any, server: Server, backend: RemoteBackend) -> None:
    volume.SetName("Mustermann Erika")
    job = SegmentationJob(volume, "liver", backend)
    assert job.wait() is JobState.FINISHED, job.error
    assert "Mustermann" not in "".join(server.log)
    for path in server.voxel_files:
        assert b"Mustermann" not in Path(path).read_bytes()


def test_maps_for_threshold_and_uncertainty_come_along(volume: Any, backend: RemoteBackend) -> None:
    runs = Runs(backend)
    options = JobOptions(SegmentOptions(uncertainty=True, fast=True))
    job = runs.segment(volume, "liver", options=options, interactive=True)
    assert job.wait() is JobState.FINISHED, job.error
    (segment_id,) = segment_ids(job.segmentationNode)
    ml = job.outcomes[0].volumeMl
    assert runs.setThreshold(job.segmentationNode, segment_id, 0.2) > ml
    map_ = runs.uncertaintyOf(job.segmentationNode, segment_id)
    assert map_ is not None
    assert 0 <= map_.values.array.min() < map_.values.array.max() <= 1
    assert runs.undoLast(job.segmentationNode)
    assert job.segmentationNode.GetScene() is None  # it was new


def test_cancel_takes_effect_within_two_seconds_and_reaches_the_server(backend: RemoteBackend, server: Server) -> None:
    large = body_node(LARGE, "Large")
    before = node_ids()
    job = SegmentationJob(large, PROMPTS, backend)
    job.start()
    poll_until(job, lambda: job.progress.stage == "encode")
    start_s = time.monotonic()
    job.cancel()
    poll_until(job, lambda: job.isOver)
    assert time.monotonic() - start_s < 3.0
    assert job.state is JobState.CANCELLED
    assert node_ids() == before
    wait_until(lambda: any("/cancel 202" in line for line in server.log))


@pytest.mark.parametrize(
    ("address", "token", "code"),
    [
        ("http://127.0.0.1:1", TOKEN, "remote.refused"),
        ("", "no-token-of-anybody", "remote.token"),
        ("ftp://server", TOKEN, "remote.address"),
    ],
)
def test_what_is_wrong_is_said(volume: Any, server: Server, address: str, token: str, code: str) -> None:
    backend = RemoteBackend(address or server.address, token, uploadAllowed=True)
    assert backend.test().code == code
    before = node_ids()
    job = SegmentationJob(volume, "liver", backend)
    assert job.wait() is JobState.FAILED
    assert job.error is not None
    assert job.error.code == code
    assert job.error.hint
    assert token not in job.error.one_line + job.error.details
    assert node_ids() == before
    backend.close()


def test_a_server_that_is_killed_leaves_the_scene_as_it_was_and_the_next_run_works(tmp_path: Path, volume: Any) -> None:
    with Server(tmp_path / "own") as own:
        own.wait_until_ready()
        backend = RemoteBackend(own.address, TOKEN, uploadAllowed=True)
        assert SegmentationJob(volume, "liver", backend).wait() is JobState.FINISHED
        before = node_ids()
        large = body_node(LARGE, "Large")
        first = node_ids() - before
        job = SegmentationJob(large, PROMPTS, backend)
        job.start()
        poll_until(job, lambda: job.progress.stage == "encode")
        own.process.send_signal(signal.SIGKILL)
        poll_until(job, lambda: job.isOver)
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.code in ("remote.refused", "remote.broken")
        assert node_ids() == before | first
    with Server(tmp_path / "again", "--port", own.address.rpartition(":")[2]) as again:
        again.wait_until_ready()
        job = SegmentationJob(volume, "liver", backend)
        assert job.wait() is JobState.FINISHED, job.error
    begun_s = time.monotonic()
    backend.close()  # from a server that is not there
    assert time.monotonic() - begun_s < 3.0


def test_a_server_without_clicks_refuses_them_before_anything_is_sent(
    backend: RemoteBackend, server: Server, volume: Any
) -> None:
    click = replace(parse_prompts("schwannoma")[0], clicks=(Click((0.0, 0.0, 0.0)),))
    before = uploads(server)
    with pytest.raises(ModelError) as caught:
        backend.segment(
            volumeFromNode(volume),
            [*parse_prompts("liver"), click],
            SegmentOptions(),
            onProgress=lambda _: None,
            onResult=lambda _: None,
            cancel=CancelToken(),
        )
    assert caught.value.code == "model.clicks"
    assert uploads(server) == before
