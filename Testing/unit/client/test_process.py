"""The worker client, against scripted workers that misbehave."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsm import __version__
from dsm.client.jobs import JobEvent, error_of
from dsm.client.process import WorkerClient
from dsm.errors import DSMError, JobCancelled, ModelNotFoundError, OutOfMemoryError, ProtocolError, WorkerError
from dsm.wire.messages import Done, Error, Load, Progress, Release

HEAD = """
import json, os, sys, time
def send(**fields):
    sys.stdout.write(json.dumps(fields) + "\\n"); sys.stdout.flush()
def receive():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)
hello = receive()
def ready():
    send(type="ready", pid=os.getpid(), worker="0", python="3", torch="", devices=[])
"""


def worker(body: str) -> list[str]:
    return [sys.executable, "-S", "-c", HEAD + textwrap.dedent(body)]


def load(client: WorkerClient) -> str:
    return client.submit(Load(id=client.new_id(), model="m"))


def gone(pid: int) -> bool:
    """Return whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_events_of_a_job_are_ordered_and_the_final_one_is_kept() -> None:
    body = """
    ready()
    job = receive()
    send(type="progress", id=job["id"], stage="load", done=0, total=2)
    send(type="progress", id="of nobody", stage="load", done=0, total=2)
    send(type="progress", id=job["id"], stage="load", done=2, total=2)
    send(type="done", id=job["id"], seconds=0.5, device="cpu")
    receive()
    """
    with WorkerClient(command=worker(body)) as client:
        seen: list[object] = []
        job = load(client)
        assert client.wait(job, timeout_s=60, on_event=seen.append) == Done(id=job, seconds=0.5, device="cpu")
        assert [event.done for event in seen if isinstance(event, Progress)] == [0, 2]
        assert client.wait(job).seconds == 0.5
        assert client.poll() == []
        with pytest.raises(ProtocolError, match="used before"):
            client.submit(Release(id=job))
        with pytest.raises(ProtocolError, match="no job"):
            client.wait("job-99")


def test_poll_does_not_block() -> None:
    body = """
    ready()
    for _ in range(2):
        send(type="error", id=receive()["id"], code="no_model", text="None.", hint="Install one.")
    receive()
    """
    with WorkerClient(command=worker(body)) as client:
        assert client.poll() == []
        jobs = [load(client), load(client)]
        events: list[JobEvent] = []

        def both_are_here() -> bool:
            events.extend(client.poll())
            return len(events) == 2

        assert wait_until(both_are_here)
        assert [event.id for event in events] == jobs
        with pytest.raises(ModelNotFoundError, match=r"None\.") as caught:
            client.wait(jobs[0])
        assert (caught.value.code, caught.value.hint) == ("no_model", "Install one.")


def test_invalid_lines_on_the_pipe_are_skipped() -> None:
    body = """
    sys.stdout.buffer.write(b"\\xff\\xfe banner\\n{}\\n[]\\n"); sys.stdout.flush()
    ready()
    job = receive()
    sys.stdout.buffer.write(b"\\x00" * 6000000 + b"\\n"); sys.stdout.flush()
    send(type="surprise", id=job["id"])
    send(type="done", id=job["id"], seconds=1)
    receive()
    """
    with WorkerClient(command=worker(body)) as client:
        assert client.wait(load(client), timeout_s=60).seconds == 1.0


def test_worker_crash_fails_all_jobs_with_the_reason() -> None:
    body = """
    ready()
    receive(), receive()
    sys.stderr.write("out of luck: é\\n"); sys.stderr.flush()
    os._exit(3)
    """
    with WorkerClient(command=worker(body), environment={"PYTHONIOENCODING": "utf-8"}) as client:
        jobs = [load(client), load(client)]
        for job in jobs:
            with pytest.raises(WorkerError, match="exit status 3") as caught:
                client.wait(job, timeout_s=60)
            assert caught.value.code == "worker.died"
        assert wait_until(lambda: "out of luck: é" in client.log)
        assert not client.alive
        with pytest.raises(WorkerError) as caught:
            load(client)
        assert caught.value.code == "worker.died"
        folder = client.folder
    assert not folder.exists()


def test_events_sent_before_a_crash_are_delivered() -> None:
    body = """
    ready()
    send(type="done", id=receive()["id"], seconds=1)
    os._exit(1)
    """
    with WorkerClient(command=worker(body)) as client:
        assert client.wait(load(client), timeout_s=60).seconds == 1.0


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["/no/such/python"], "worker.start", "cannot be started"),
        ([sys.executable, "-S", "-c", "raise SystemExit(7)"], "worker.died", "exit status 7"),
        (worker("time.sleep(60)"), "worker.timeout", "not ready"),
        (worker("send(type='error', id='', code='unsupported', text='Old.')\nreceive()"), "unsupported", "Old"),
    ],
)
def test_worker_that_fails_to_start_leaves_no_folder(tmp_path: Path, command: list[str], code: str, words: str) -> None:
    timeout_s = 0.5 if code == "worker.timeout" else 30.0
    with pytest.raises(DSMError, match=words) as caught:
        WorkerClient(command=command, folder_parent=tmp_path, start_timeout_s=timeout_s)
    assert caught.value.code == code
    assert not any(tmp_path.iterdir())


def test_a_worker_that_ignores_cancel_is_killed() -> None:
    with WorkerClient(command=worker("ready()\nwhile True: time.sleep(1)")) as client:
        job = load(client)
        other = load(client)
        began = time.monotonic()
        client.cancel(job, grace_s=0.3)
        with pytest.raises(JobCancelled):
            client.wait(job, timeout_s=60)
        assert time.monotonic() - began > 0.2
        with pytest.raises(WorkerError) as caught:
            client.wait(other, timeout_s=60)
        assert caught.value.code == "worker.died"
        assert wait_until(lambda: gone(client.pid))
        client.cancel(job)  # too late, and no error


def test_job_cancelled_within_grace_period_keeps_the_worker() -> None:
    body = """
    ready()
    job = receive()
    cancel = receive()
    assert cancel["type"] == "cancel"
    send(type="error", id=job["id"], code="cancelled", text="As you wish.")
    send(type="done", id=receive()["id"], seconds=1)
    receive()
    """
    with WorkerClient(command=worker(body)) as client:
        job = load(client)
        client.cancel(job, grace_s=3)
        with pytest.raises(JobCancelled):
            client.wait(job, timeout_s=60)
        time.sleep(3.2)
        assert client.wait(load(client), timeout_s=60).seconds == 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_kill_also_ends_children_of_a_launcher() -> None:
    """PythonSlicer is a launcher: the interpreter that answers is its child."""
    launcher = f"import subprocess, sys; subprocess.run({worker('ready()' + chr(10) + 'time.sleep(60)')!r})"
    with WorkerClient(command=[sys.executable, "-S", "-c", launcher]) as client:
        assert client.pid != client._process.pid
        load(client)
        client.kill()
        assert wait_until(lambda: gone(client.pid))


def test_wait_times_out() -> None:
    with WorkerClient(command=worker("ready()\nreceive()\ntime.sleep(60)")) as client:
        job = load(client)
        with pytest.raises(WorkerError) as caught:
            client.wait(job, timeout_s=0.1)
        assert caught.value.code == "worker.timeout"
        threading.Timer(0.2, client.kill).start()
        with pytest.raises(WorkerError, match="ended"):
            client.wait(job, timeout_s=60)


def test_close_is_idempotent_and_closed_client_refuses_jobs() -> None:
    client = WorkerClient(command=worker("ready()\nreceive()"))
    folder, pid = client.folder, client.pid
    client.close()
    client.close()
    assert not folder.exists()
    assert gone(pid)
    with pytest.raises(WorkerError) as caught:
        load(client)
    assert caught.value.code == "worker.closed"


def test_folder_is_removed_when_the_with_block_raises() -> None:
    clients = []

    def fail() -> None:
        with WorkerClient(command=worker("ready()\nreceive()")) as client:
            clients.append(client)
            (client.folder / "patient.npy").write_bytes(b"voxels")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not clients[0].folder.exists()
    assert gone(clients[0].pid)


def test_environment_of_the_host_is_unchanged() -> None:
    before = dict(os.environ)
    body = """
    ready()
    text = json.dumps([os.environ["PYTHONPATH"], os.environ["EXTRA"], os.environ["PYTHONUTF8"]])
    send(type="error", id=receive()["id"], code="x", text=text)
    receive()
    """
    environment = {"EXTRA": "ü", "PYTHONPATH": "/elsewhere"}
    with (
        WorkerClient(command=worker(body), environment=environment) as client,
        pytest.raises(WorkerError) as caught,
    ):
        client.wait(load(client), timeout_s=60)
    assert json.loads(str(caught.value)) == ["/elsewhere", "ü", "1"]
    assert dict(os.environ) == before


def test_error_messages_become_exceptions() -> None:
    assert isinstance(error_of(Error(id="1", code="cancelled", text="t")), JobCancelled)
    error = error_of(Error(id="1", code="oom_ram", text="t", hint="h", details="d"))
    assert isinstance(error, OutOfMemoryError)
    assert (error.code, str(error), error.hint, error.details) == ("oom_ram", "t", "h", "d")


@pytest.mark.skipif(sys.platform == "win32", reason="a script of the shell")
def test_worker_uses_this_package_even_if_another_dsm_is_first_on_the_path(tmp_path: Path) -> None:
    """As PythonSlicer does: it puts Slicer's own folders before the PYTHONPATH that it was given."""
    other = tmp_path / "site-packages" / "dsm"
    other.mkdir(parents=True)
    for name in ("__init__", "__main__"):
        (other / f"{name}.py").write_text("raise SystemExit('another dsm')\n")
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(
        f'#!/bin/sh\nPYTHONPATH={other.parent}:$PYTHONPATH\nexport PYTHONPATH\nexec {sys.executable} "$@"\n'
    )
    launcher.chmod(0o755)
    with WorkerClient(python=str(launcher)) as client:
        assert client.ready.worker == __version__
