"""`dsm serve --ray` with two workers on a local cluster: equal results, and no accepted job is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from http_server import (
    LARGE,
    TOKENS,
    Server,
    children_of,
    command_line,
    phantom,
    results,
    send_volume,
    submit_prompts,
    upload,
)

from dsm.client.connection import Connection
from dsm.client.process import WorkerClient
from dsm.errors import DSMError, RemoteError
from dsm.wire.messages import Load

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, "--ray", "--workers", "2", "--max-jobs", "8", start_timeout_s=200) as running:
        yield running.wait_until_ready(200)
        below = children_of(running.process.pid)
    assert running.process.returncode == 0
    assert not [path for path in (folder / "voxels").rglob("*") if path.is_file()]
    assert len(below) > 4
    assert not [line for pid in below if "ray" in (line := command_line(pid))]


def actors(server: Server) -> dict[int, str]:
    """Processes of the two workers; Ray's name for one says what it does."""
    return {pid: line for pid, line in children_of(server.process.pid).items() if line.startswith("ray::_ServerActor")}


def submit(connection: Connection, volume: str, prompt: str) -> str:
    return str(connection.call("POST", "/jobs", body={"volume": volume, "prompts": [prompt]})["job"])


def events(connection: Connection, job: str) -> list[dict[str, Any]]:
    return list(connection.lines(f"/jobs/{job}/events"))


def test_cluster_gives_the_results_of_a_local_worker(server: Server) -> None:
    def answers(client: Any) -> list[tuple[object, ...]]:
        client.wait(client.submit(Load(id=client.new_id(), model="dsm-tiny")))
        client.wait(send_volume(client), timeout_s=120)
        found = results(client, submit_prompts(client, "kidneys", "liver", maps=True, threshold=0.2))
        return [
            (
                one.name,
                one.score,
                client.take(one.file) if one.file else b"",
                client.take(one.probability_file),
                client.take(one.uncertainty_file),
            )
            for one in found
        ]

    with server.client() as remote, WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as local:
        assert answers(remote) == answers(local)
    assert server.voxel_files == []


def test_jobs_are_routed_to_the_worker_with_the_encoded_volume(server: Server) -> None:
    connection = server.connection()
    volumes = [upload(connection, phantom(seed=seed)) for seed in (1, 2)]
    told = []
    for _ in range(3):
        jobs = [submit(connection, volume, prompt) for prompt in ("liver", "aorta") for volume in volumes]
        told += [events(connection, job) for job in jobs]
    assert all(one[-1]["type"] == "done" for one in told)
    encodings = sum(any(event.get("stage") == "encode" for event in one) for one in told)
    # Twelve jobs; a worker that has nothing else to do may encode the other volume, too, but each only once.
    assert 2 <= encodings <= 4
    for volume in volumes:
        connection.call("DELETE", f"/volumes/{volume}")


def test_killed_worker_under_load_loses_no_accepted_job(server: Server) -> None:
    connection = server.connection()
    volumes = [upload(connection, phantom(LARGE, seed=seed)) for seed in (1, 2)]
    jobs = [
        submit(connection, volume, prompt) for prompt in ("liver", "aorta", "spleen", "pancreas") for volume in volumes
    ]
    with pytest.raises(RemoteError) as caught:  # back-pressure: status 429
        submit(connection, volumes[0], "liver")
    assert caught.value.code == "quota"
    deadline = time.monotonic() + 60
    while not (busy := [pid for pid, line in actors(server).items() if ".take" in line or ".segment" in line]):
        assert time.monotonic() < deadline, actors(server)
        time.sleep(0.01)
    os.kill(busy[0], signal.SIGKILL)
    told = [events(connection, job) for job in jobs]
    assert [one[-1]["type"] for one in told] == ["done"] * len(jobs), [one[-1] for one in told]
    assert [sum(event["type"] == "result" for event in one) >= 1 for one in told] == [True] * len(jobs)
    shown = [connection.call("GET", f"/jobs/{job}") for job in jobs]
    assert sorted(one["attempts"] for one in shown) == [1] * (len(jobs) - 1) + [2]
    deadline = time.monotonic() + 240
    while connection.call("GET", "/healthz")["workers"] < 2:  # it was replaced
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert busy[0] not in actors(server)


def test_cancel_reaches_the_worker(server: Server) -> None:
    connection = server.connection()
    volume = upload(connection, phantom(LARGE, seed=7))
    job = submit(connection, volume, "liver")
    for event in connection.lines(f"/jobs/{job}/events"):
        if event.get("stage") == "encode":
            break
    began = time.monotonic()
    connection.call("POST", f"/jobs/{job}/cancel")
    last = events(connection, job)[-1]
    assert (last["type"], last["code"]) == ("error", "cancelled")
    assert time.monotonic() - began < 10
    again = submit(connection, volume, "liver")
    assert events(connection, again)[-1]["type"] == "done"


def test_cluster_logs_contain_neither_prompts_nor_tokens(server: Server) -> None:
    connection = server.connection()
    volume = upload(connection, phantom())
    events(connection, submit(connection, volume, "vertraulich erika"))
    text = server.cluster_log
    assert "POST /volumes 201" in text
    for secret in ("vertraulich", "affine=", *TOKENS.values()):
        assert secret not in text


def test_killed_application_restarts_without_volumes(server: Server) -> None:
    connection = server.connection()
    with server.client() as client:
        client.wait(send_volume(client), timeout_s=120)
        assert server.voxel_files
        (front,) = (pid for pid, line in children_of(server.process.pid).items() if "ServeReplica" in line)
        before = set(actors(server))
        os.kill(front, signal.SIGKILL)
        deadline = time.monotonic() + 240
        while not (set(actors(server)) - before and healthy(connection)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert not before & set(actors(server))
        assert server.voxel_files == []
        with pytest.raises(DSMError):
            results(client, submit_prompts(client, "liver"))
        client.wait(send_volume(client), timeout_s=120)
        assert results(client, submit_prompts(client, "liver"))


def healthy(connection: Connection) -> bool:
    try:
        return bool(connection.call("GET", "/healthz")["workers"])
    except RemoteError:
        return False
