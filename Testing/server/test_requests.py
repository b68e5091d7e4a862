"""Invalid requests, quotas, leases, startup and shutdown of the server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_server import AFFINE, LARGE, QUERY, TOKENS, Server, digest, npy, phantom, send_volume

import dsm
from dsm.errors import DSMError
from dsm.server.limits import Limits
from dsm.server.volumes import VolumeStore

pytestmark = pytest.mark.xdist_group("server")  # one server for all of them


def send(
    server: Server, method: str, path: str, body: bytes | None = None, *, user: str = "anna", **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    host = server.address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    sent = {"Authorization": f"Bearer {TOKENS[user]}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else {}, {k.lower(): v for k, v in answer.getheaders()}


GOOD = npy(phantom())


@pytest.mark.parametrize(
    ("body", "query", "header", "status", "code"),
    [
        (GOOD, QUERY, digest(b"other"), 400, "upload.checksum"),
        (GOOD, QUERY, "md5=:AAAA:", 422, "request"),
        (GOOD, QUERY, "sha-256=:!!:", 422, "request"),
        (b"", QUERY, digest(b""), 422, "request"),
        (GOOD, QUERY.replace("CT", "PET"), digest(GOOD), 422, "request"),
        (GOOD, "modality=CT&affine=1", digest(GOOD), 422, "request"),
        (GOOD, QUERY.replace("3.0", "nan"), digest(GOOD), 422, "geometry.affine"),
        (GOOD, QUERY.replace("3.0", "0.0"), digest(GOOD), 422, "geometry.affine"),
        (b"no array", QUERY, digest(b"no array"), 422, "bad_image"),
        (GOOD[:-5], QUERY, digest(GOOD[:-5]), 422, "bad_image"),
        (npy(np.zeros((4, 4))), QUERY, digest(npy(np.zeros((4, 4)))), 422, "input.axes"),
        (npy(np.array(["a"] * 8).reshape(2, 2, 2)), QUERY, "", 422, "input.dtype"),
    ],
    ids=[
        "other digest",
        "MD5",
        "no digest",
        "no body",
        "PET",
        "short affine",
        "NaN in affine",
        "singular affine",
        "no array",
        "truncated",
        "two axes",
        "text",
    ],
)
def test_invalid_uploads_are_refused(
    server: Server, body: bytes, query: str, header: str, status: int, code: str
) -> None:
    got = send(server, "POST", f"/volumes?{query}", body, Content_Digest=header or digest(body))
    assert (got[0], got[1]["code"]) == (status, code)
    assert got[1]["text"]
    assert server.voxel_files == []


@contextlib.contextmanager
def raw_upload(server: Server, *headers: str) -> Iterator[socket.socket]:
    """Begin an upload by hand: the head of the request is sent."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    head = [f"POST /volumes?{QUERY} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKENS['anna']}", *headers]
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode())
        yield raw


def test_too_large_upload_is_refused_before_reading(server: Server) -> None:
    with raw_upload(server, f"Content-Digest: {digest(b'')}", "Content-Length: 99999999999") as raw:
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")


def test_an_upload_of_unknown_length_is_refused(server: Server) -> None:
    with raw_upload(server, f"Content-Digest: {digest(b'')}", "Transfer-Encoding: chunked") as raw:
        raw.sendall(b"0\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 411")


def test_aborted_upload_leaves_no_voxels(server: Server) -> None:
    with raw_upload(server, f"Content-Digest: {digest(GOOD)}", f"Content-Length: {len(GOOD)}") as raw:
        raw.sendall(GOOD[:1000])
        wait_until(lambda: len(server.voxel_files) == 1)
    wait_until(lambda: server.voxel_files == [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"volume": "x", "prompts": "liver"}', 422),
        (b'{"volume": "x", "prompts": ["liver"], "options": {"threshold": 7}}', 422),
        (b'{"volume": "x", "prompts": ["liver"], "surprise": 1}', 422),
        (b'{"volume": "x", "prompts": ["' + b"x" * 5000 + b'"]}', 422),
        (b'{"volume": "x", "options": {"region": [1, 2, 3]}}', 422),
        (b'{"volume": "x", "prompts": ["liver"]}', 404),
    ],
    ids=[
        "no JSON",
        "list",
        "prompts as text",
        "threshold",
        "unknown field",
        "long prompt",
        "region",
        "unknown volume",
    ],
)
def test_invalid_jobs_are_refused(server: Server, body: bytes, status: int) -> None:
    got = send(server, "POST", "/jobs", body, Content_Type="application/json")
    assert got[0] == status
    assert got[1]["code"]
    assert "liver" not in got[1]["text"]  # what was asked for is not repeated


@pytest.mark.parametrize("path", ["/capabilities", "/volumes/abc", "/jobs/abc", "/jobs/abc/events", "/jobs/abc/result"])
@pytest.mark.parametrize(
    "header",
    ["", "Bearer ", "Bearer wrong", "Basic dTpw", "Bearer \xff"],
    ids=["none", "empty", "wrong", "basic", "not ASCII"],
)
def test_token_is_required(server: Server, path: str, header: str) -> None:
    got = send(server, "GET", path, None, Authorization=header)
    assert (got[0], got[1]["code"], got[2]["www-authenticate"]) == (401, "token", "Bearer")


def test_unknown_paths_and_methods(server: Server) -> None:
    assert send(server, "GET", "/nothing")[0] == 404
    assert send(server, "PUT", "/jobs")[0] == 405
    assert send(server, "GET", "/jobs/..%2f..%2fetc")[0] in (404, 422)


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory, dsm_tiny: Path):
    arguments = ("--max-volumes", "2", "--max-jobs", "2", "--volume-idle", "1")
    with Server(tmp_path_factory.mktemp("tight"), *arguments) as running:
        yield running.wait_until_ready()


def test_quotas_and_leases(tight: Server) -> None:
    for _ in range(2):
        assert send(tight, "POST", f"/volumes?{QUERY}", GOOD, Content_Digest=digest(GOOD))[0] == 201
    full = send(tight, "POST", f"/volumes?{QUERY}", GOOD, Content_Digest=digest(GOOD))
    assert (full[0], full[1]["code"], full[2]["retry-after"]) == (429, "quota", "2")
    other = send(tight, "POST", f"/volumes?{QUERY}", GOOD, user="bert", Content_Digest=digest(GOOD))
    assert other[0] == 201  # each user has a quota of their own
    wait_until(lambda: tight.voxel_files == [], 30)  # nobody used them for a second
    assert send(tight, "GET", f"/volumes/{other[1]['volume']}", user="bert")[0] == 404


def test_the_number_of_open_jobs_is_limited(tight: Server) -> None:
    data = npy(phantom(LARGE))
    volume = send(tight, "POST", f"/volumes?{QUERY}", data, Content_Digest=digest(data))[1]["volume"]
    body = json.dumps({"volume": volume, "prompts": ["liver"]}).encode()
    answers = [send(tight, "POST", "/jobs", body, Content_Type="application/json") for _ in range(3)]
    assert [answer[0] for answer in answers] == [202, 202, 429]
    for _, job, _ in answers[:2]:  # a waiting one and a running one
        assert send(tight, "DELETE", f"/jobs/{job['job']}")[0] == 204
    assert send(tight, "DELETE", f"/volumes/{volume}")[0] == 204


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_server_shutdown_leaves_no_worker_and_no_voxels(tmp_path: Path, dsm_tiny: Path, how: signal.Signals) -> None:
    with Server(tmp_path) as server:
        server.wait_until_ready()
        client = server.client()
        job = send_volume(client, phantom(LARGE))
        wait_until(lambda: server.voxel_files)
        pids = server.worker_pids
        server.process.send_signal(how)
        code = server.process.wait(60)
        assert code == (-how if how == signal.SIGKILL else 0)
        wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()])
        if how == signal.SIGKILL:  # nobody could clean up: the next server in this folder does
            with Server(tmp_path):
                pass
        assert server.voxel_files == []
        client.cancel(job, grace_s=0)
        with contextlib.suppress(DSMError):  # the job may have finished a moment before; what counts: nobody waits on
            client.wait(job, timeout_s=60)
        client.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "192.0.2.1"], "unencrypted"),
        (["--tls-cert", "missing.pem"], "key"),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.pem"], "does not exist"),
        (["--tokens", "missing"], "cannot be read"),
        (["--tokens", "open"], "Others may read"),
        (["--tokens", "short"], "fewer than 16"),
        (["--tokens", "empty"], "no user"),
        (["--model", "none"], "No model"),
        (["--port", "99999"], "cannot be listened on"),
        (["--folder", "missing"], "cannot be written"),
        (["--workers", "0"], "0 workers"),
    ],
)
def test_startup_error_is_reported(tmp_path: Path, arguments: list[str], words: str) -> None:
    for name, text, mode in [("open", "a:b", 0o644), ("short", "a:b", 0o600), ("empty", "# nobody\n", 0o600)]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    environment = {**os.environ, "PYTHONPATH": str(Path(dsm.__file__).parents[1])}
    command = [sys.executable, "-m", "dsm", "serve", "--model", "dsm-tiny", "--port", "0", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_stalled_upload_times_out(tmp_path: Path) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield GOOD[:100]
        await asyncio.sleep(60)

    store = VolumeStore(tmp_path, Limits(upload_idle_s=0.1))
    receiving = store.receive(
        "a", stalled(), num_bytes=len(GOOD), sha256=hashlib.sha256(GOOD).digest(), affine=AFFINE, modality="CT"
    )
    with pytest.raises(DSMError) as caught:
        asyncio.run(receiving)
    assert caught.value.code == "upload.truncated"
    assert not list(tmp_path.iterdir())


def test_a_volume_in_use_outlives_its_lease(tmp_path: Path) -> None:
    now = [0.0]
    store = VolumeStore(tmp_path, Limits(volume_idle_s=10), clock=lambda: now[0])

    async def whole() -> AsyncIterator[bytes]:
        yield GOOD

    volume = asyncio.run(
        store.receive(
            "a", whole(), num_bytes=len(GOOD), sha256=hashlib.sha256(GOOD).digest(), affine=AFFINE, modality="CT"
        )
    )
    with store.pinned(volume.id):
        now[0] = 100.0
        assert store.expire() == []
    assert store.expire() == []  # the job that has just ended counts as use
    now[0] = 111.0
    assert store.expire() == [volume.id]
    assert not list(tmp_path.iterdir())


def wait_until(condition: Any, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
