"""End of worker or host: no process, folder or blocked caller remains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worker_host import ENVIRONMENT, LARGE, Host, Pipes, is_running, phantom, slowdown, wait_until

import dsm
from dsm.errors import WorkerError
from dsm.wire.messages import Progress


def start_encoding(host: Host) -> str:
    """Send a large volume and return when the network is at it."""
    job = host.set_volume(phantom(LARGE))
    begun: list[bool] = []

    def is_encoding() -> bool:
        begun.extend(isinstance(event, Progress) and event.stage == "encode" for event in host.poll())
        return any(begun)

    assert wait_until(is_encoding, 200)
    return job


def test_sigkill_during_a_job(fresh_host: Host) -> None:
    job = start_encoding(fresh_host)
    os.kill(fresh_host.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(WorkerError, match="-9") as caught:
        fresh_host.wait(job, timeout_s=60)
    assert time.monotonic() - began < 2 * slowdown()
    assert caught.value.code == "worker.died"
    assert caught.value.hint
    parent = fresh_host.folder.parent
    fresh_host.close()
    assert not any(parent.iterdir())
    assert not is_running(fresh_host.pid)


def test_closing_during_a_job_ends_the_process_and_removes_the_folder(fresh_host: Host) -> None:
    start_encoding(fresh_host)
    began = time.monotonic()
    fresh_host.close()
    assert time.monotonic() - began < 2 * slowdown()
    assert not is_running(fresh_host.pid)
    assert not fresh_host.folder.exists()


def test_end_of_the_pipe_during_a_job_ends_the_worker(tiny_model: Path, tmp_path: Path) -> None:
    from dsm.wire.arrays import write_array

    write_array(tmp_path, "a.npy", phantom(LARGE))
    affine = [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]
    with Pipes() as pipes:
        pipes.send(type="hello", folder=str(tmp_path))
        pipes.send(type="load", id="1", model=str(tiny_model))
        pipes.send(type="set_volume", id="2", key="v", array="a.npy", affine=affine)
        while (message := pipes.receive(200)).get("stage") != "encode":
            assert message["type"] != "error", message
        assert pipes.process.stdin is not None
        pipes.process.stdin.close()
        began = time.monotonic()
        pipes.process.wait(60)
        assert time.monotonic() - began < 2 * slowdown()


def test_killed_host_ends_its_worker(tmp_path: Path) -> None:
    code = """
import sys, time
from dsm.client.process import WorkerClient
client = WorkerClient()
print(client.pid, flush=True)
time.sleep(60)
"""
    env = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(Path(dsm.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert is_running(pid)
        host.kill()
    assert wait_until(lambda: not is_running(pid), 2 * slowdown())


def test_script_without_close_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    code = "from dsm.client.process import WorkerClient; client = WorkerClient(); print(client.pid)"
    env = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(Path(dsm.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True)
    assert not any(tmp_path.iterdir())
    assert not is_running(int(done.stdout))


def test_end_of_the_pipe_while_idle_ends_the_worker() -> None:
    with Pipes() as pipes:
        assert pipes.process.stdin is not None
        pipes.process.stdin.close()
        assert pipes.process.wait(60) == 0


def test_worker_ignores_ctrl_c(tmp_path: Path) -> None:
    with Pipes() as pipes:
        pipes.send(type="hello", folder=str(tmp_path))
        pipes.receive()
        pipes.process.send_signal(signal.SIGINT)
        pipes.send(type="release", id="1")
        assert pipes.receive_end("1")["type"] == "done"


def test_worker_ends_if_the_host_closes_the_output_pipe(tmp_path: Path) -> None:
    env = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(Path(dsm.__file__).parents[1])}
    command = [sys.executable, "-m", "dsm", "worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env, bufsize=0) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps({"type": "hello", "folder": str(tmp_path)}).encode() + b"\n")
        worker.stdout.readline()
        worker.stdout.close()
        worker.stdin.write(b'{"type":"release","id":"1"}\n')
        assert worker.wait(60) == 0
