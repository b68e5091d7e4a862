"""Equal results from a server and from a local worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from http_server import LARGE, TOKENS, Server, phantom, results, send_volume, submit_prompts, upload
from relay import Relay

from dsm.client.http import RemoteClient
from dsm.client.process import WorkerClient
from dsm.core.boxes import Box
from dsm.errors import DSMError, JobCancelled, RemoteError, WorkerError
from dsm.models.store import model_entry
from dsm.wire.arrays import array_of, unpack_mask
from dsm.wire.messages import Load, Measure, Progress, Release, Segment, SetVolume

pytestmark = pytest.mark.xdist_group("server")  # one server for all of them

PROMPTS = ("kidneys", "liver", "größer als alles")


def answers(client: object) -> list[tuple[object, ...]]:
    client.wait(client.submit(Load(id=client.new_id(), model="dsm-tiny")))
    client.wait(send_volume(client), timeout_s=120)
    found = results(
        client, submit_prompts(client, *PROMPTS, maps=True, threshold=0.2, region=Box((3, 0, 0), (40, 40, 30)))
    )
    return [
        (
            one.prompt_id,
            one.name,
            one.kind,
            one.offset_ijk,
            one.size,
            one.score,
            one.warnings,
            unpack_mask(client.take(one.file) if one.file else b"", one.size).tobytes(),
            array_of(client.take(one.probability_file)).tobytes() if one.probability_file else b"",
            one.uncertainty_offset_ijk,
            array_of(client.take(one.uncertainty_file)).tobytes() if one.uncertainty_file else b"",
        )
        for one in found
    ]


def test_server_gives_the_results_of_a_local_worker(server: Server) -> None:
    with server.client() as remote, WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as local:
        there, here = answers(remote), answers(local)
    assert [one[:2] for one in here][:2] == [("p0", "left kidney"), ("p0", "right kidney")]
    assert there == here
    assert server.voxel_files == []  # nothing of the patient stays behind


def test_progress_of_upload_and_encoding_is_reported(server: Server) -> None:
    with server.client() as client:
        events: list[object] = []
        client.wait(send_volume(client, phantom(seed=9)), timeout_s=120, on_event=events.append)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages[0] == "upload"
    assert "waiting" in stages
    assert "encode" in stages


def test_the_volume_is_encoded_once(server: Server) -> None:
    with server.client() as client:
        client.wait(send_volume(client), timeout_s=120)
        events: list[object] = []
        client.wait(submit_prompts(client, "liver"), timeout_s=120, on_event=events.append)
        client.wait(submit_prompts(client, "spleen"), timeout_s=120, on_event=events.append)
    assert not [event for event in events if isinstance(event, Progress) and event.stage == "encode"]


def test_options_are_passed_to_the_worker(server: Server) -> None:
    with server.client() as client:
        client.wait(send_volume(client), timeout_s=120)
        tumors = [
            results(client, submit_prompts(client, "liver tumor", fast=fast, maps=True))[0] for fast in (False, True)
        ]
        thorough, fast = (client.take(tumor.uncertainty_file) for tumor in tumors)
    assert thorough != fast  # its diffusion prompts change what the network says of a tumor


def uploads(server: Server) -> int:
    return sum("POST /volumes " in line for line in server.log)


def test_volume_is_uploaded_once_and_two_are_kept(server: Server) -> None:
    with server.client() as client:
        voxels = [phantom(seed=number) for number in (1, 2, 3)]
        before = uploads(server)
        for number in (0, 1, 0, 2, 2, 0):
            client.wait(send_volume(client, voxels[number], key=f"volume {number}"), timeout_s=120)
            assert len(server.voxel_files) <= 2
        assert uploads(server) == before + 3
        # Of the same name, but other voxels; and removed from the server in the meantime.
        client.wait(send_volume(client, voxels[1], key="volume 0"), timeout_s=120)
        assert uploads(server) == before + 4
        server.connection().call("DELETE", f"/volumes/{client._volumes.id_of('volume 0')}")
        client.wait(send_volume(client, voxels[1], key="volume 0"), timeout_s=120)
        assert uploads(server) == before + 5
        assert results(client, submit_prompts(client, "liver", key="volume 0"))
        # Asked for by its name alone: there, and not there.
        affine = tuple(map(tuple, np.eye(4).tolist()))
        client.wait(
            client.submit(SetVolume(id=client.new_id(), key="volume 0", array="", affine=affine)), timeout_s=120
        )
        with pytest.raises(DSMError) as caught:
            client.wait(
                client.submit(SetVolume(id=client.new_id(), key="other", array="", affine=affine)), timeout_s=120
            )
        assert caught.value.code == "no_volume"
        assert uploads(server) == before + 5


def test_another_model_is_refused(server: Server) -> None:
    with server.client() as client, pytest.raises(DSMError) as caught:
        client.wait(client.submit(Load(id=client.new_id(), model="dsm-large")))
    assert caught.value.code == "no_model"
    assert "dsm-tiny" in caught.value.hint


def test_empty_model_name_selects_the_model_of_the_server(server: Server, dsm_tiny: Path) -> None:
    with RemoteClient(server.address, TOKENS["anna"], connect=False) as client:
        assert client.ready.model == ""
        client.wait(client.submit(Load(id=client.new_id(), model="")))
        assert (client.ready.model, client.ready.model_sha256) == ("dsm-tiny", model_entry(dsm_tiny).digest)


def test_connection_error_is_raised_by_the_first_job(server: Server) -> None:
    with RemoteClient(server.address, "no-token-of-anybody", connect=False) as client:
        with pytest.raises(DSMError) as caught:
            client.wait(client.submit(Load(id=client.new_id(), model="")))
        assert caught.value.code == "remote.token"


def test_released_volume_must_be_uploaded_again(server: Server) -> None:
    with server.client() as client:
        client.wait(send_volume(client), timeout_s=120)
        client.wait(client.submit(Release(id=client.new_id(), volume_key="volume")))
        with pytest.raises(DSMError) as caught:
            client.wait(submit_prompts(client, "liver"))
        assert caught.value.code == "no_volume"
        client.wait(send_volume(client), timeout_s=120)
        assert results(client, submit_prompts(client, "liver"))


def test_the_speed_of_a_server_is_not_measured(server: Server) -> None:
    with server.client() as client:
        with pytest.raises(DSMError) as caught:
            client.wait(client.submit(Measure(id=client.new_id())))
        assert caught.value.code == "unsupported"
        client.wait(send_volume(client), timeout_s=120)  # the next request is served


def test_worker_errors_reach_the_client(server: Server) -> None:
    with server.client() as client:
        bad = phantom().astype(np.float32)
        bad[3, 4, 5] = np.nan
        with pytest.raises(DSMError) as caught:
            client.wait(send_volume(client, bad), timeout_s=120)
        assert caught.value.code == "input.not_finite"
        client.wait(send_volume(client), timeout_s=120)
        with pytest.raises(DSMError) as caught:
            client.wait(client.submit(Segment(id=client.new_id(), volume_key="volume", prompts=())), timeout_s=120)
        assert caught.value.code == "prompt.empty"


def test_cancel_stops_the_encoding(server: Server) -> None:
    with server.client() as client:
        job = send_volume(client, phantom((240, 200, 180)))  # takes longer than a busy machine needs to cancel it
        encoding = threading.Event()

        def stop(event: object) -> None:
            if isinstance(event, Progress) and event.stage == "encode" and not encoding.is_set():
                encoding.set()
                client.cancel(job)

        with pytest.raises(JobCancelled):
            client.wait(job, timeout_s=120, on_event=stop)
        assert encoding.is_set()
        client.wait(send_volume(client), timeout_s=120)
        assert results(client, submit_prompts(client, "liver"))


def test_killed_worker_loses_no_accepted_job(server: Server) -> None:
    connection = server.connection()
    volume = upload(connection, phantom(LARGE, seed=5))
    job = connection.call("POST", "/jobs", body={"volume": volume, "prompts": ["liver"]})["job"]
    killed = False
    events = []
    for event in connection.lines(f"/jobs/{job}/events"):
        events.append(event)
        if event.get("stage") == "encode" and not killed:
            killed = True
            for pid in server.worker_pids:
                os.kill(pid, signal.SIGKILL)
    assert killed
    assert events[-1]["type"] == "done"
    assert any(event.get("note") == "A worker was replaced." for event in events)
    assert connection.call("GET", f"/jobs/{job}")["attempts"] == 2
    assert len(connection.call("GET", f"/jobs/{job}/result")["results"]) == 1
    connection.call("DELETE", f"/volumes/{volume}")


def test_interrupted_event_stream_is_resumed(server: Server) -> None:
    with Relay(server.address) as relay, RemoteClient(relay.address, TOKENS["anna"]) as client:
        broken = threading.Event()

        def cut(event: object) -> None:
            if isinstance(event, Progress) and event.stage == "encode" and not broken.is_set():
                broken.set()
                relay.cut()

        client.wait(send_volume(client, phantom(LARGE, seed=6)), timeout_s=120, on_event=cut)
        assert broken.is_set()
        assert results(client, submit_prompts(client, "liver"))


def test_users_are_isolated(server: Server) -> None:
    anna, bert = server.connection("anna"), server.connection("bert")
    volume = upload(anna, phantom())
    job = anna.call("POST", "/jobs", body={"volume": volume, "prompts": ["liver"]})["job"]
    for method, path in [
        ("GET", f"/volumes/{volume}"),
        ("DELETE", f"/volumes/{volume}"),
        ("GET", f"/jobs/{job}"),
        ("GET", f"/jobs/{job}/events"),
        ("GET", f"/jobs/{job}/result"),
        ("POST", f"/jobs/{job}/cancel"),
        ("DELETE", f"/jobs/{job}"),
    ]:
        with pytest.raises(RemoteError, match="no such"):
            bert.call(method, path)
    with pytest.raises(RemoteError, match="no such"):
        bert.call("POST", "/jobs", body={"volume": volume})
    anna.call("DELETE", f"/volumes/{volume}")


def test_log_contains_neither_prompts_nor_tokens(server: Server) -> None:
    with server.client() as client:
        client.wait(send_volume(client), timeout_s=120)
        results(client, submit_prompts(client, "Vertraulich Erika"))
    time.sleep(0.2)
    log = "".join(server.log)
    assert "POST /jobs 202" in log
    for secret in ("Vertraulich", "affine", *TOKENS.values()):
        assert secret not in log


def test_closing_as_the_last_byte_is_sent_leaves_no_voxels(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = server.client()
    uploaded, closing, before = client._uploaded, threading.Thread(target=client.close), uploads(server)

    def close_at_the_end(job: str, done: int, total: int) -> None:
        if done == total:
            closing.start()
            while not client._closed:
                time.sleep(0.001)
        uploaded(job, done, total)

    monkeypatch.setattr(client, "_uploaded", close_at_the_end)
    job = send_volume(client)
    with pytest.raises(DSMError):
        client.wait(job, timeout_s=120)
    closing.join()
    while uploads(server) == before:  # it took the volume, though nobody may have waited for that
        time.sleep(0.05)
    wait_until_empty(server)


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.3])
def test_closing_during_a_job_leaves_no_voxels(server: Server, delay_s: float) -> None:
    client = server.client()
    job = send_volume(client, phantom(LARGE, seed=7))
    time.sleep(delay_s)  # before, during, after the upload
    client.close()
    with pytest.raises(DSMError):
        client.wait(job)
    wait_until_empty(server)
    with pytest.raises(WorkerError):
        submit_prompts(client, "liver")


def wait_until_empty(server: Server) -> None:
    """Wait until the server has no volume of anybody any more."""
    end = time.monotonic() + 60
    while server.voxel_files:
        assert time.monotonic() < end, server.voxel_files
        time.sleep(0.05)
