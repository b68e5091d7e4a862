"""The systemd unit and the nginx configuration of `examples/deployment`, as far as they can be run in a test."""

from __future__ import annotations

import configparser
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Tests are imported by path (import-mode=importlib), so their helpers have to be found by hand.
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from http_server import TOKENS, Server, results, send_volume, submit_prompts

from dsm.cli.main import build_parser
from dsm.client.connection import check_connection
from dsm.client.http import RemoteClient
from dsm.wire.messages import Load

DEPLOYMENT = Path(__file__).parents[2] / "examples" / "deployment"
UNIT = DEPLOYMENT / "dsm-serve.service"
PROXY = DEPLOYMENT / "nginx-dsm.conf"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def test_command_of_the_unit_is_parsed_and_matches_the_proxy():
    program, command, *arguments = shlex.split(unit()["Service"]["ExecStart"])
    assert (Path(program).name, command) == ("dsm", "serve")
    options = build_parser().parse_args([command, *arguments])
    assert options.host == "127.0.0.1"
    # The proxy looks for it where it listens.
    assert f"proxy_pass http://127.0.0.1:{options.port};" in PROXY.read_text()
    assert f"client_max_body_size {options.max_upload_mb}m;" in PROXY.read_text()
    assert str(options.folder) == "/var/cache/" + unit()["Service"]["CacheDirectory"]


def test_systemd_accepts_the_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/dsm/bin/dsm", sys.executable))  # a program that exists
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, timeout=100, check=False)
    messages = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert messages == []


@contextmanager
def nginx(folder: Path, server: str, certificate: Path, key: Path) -> Iterator[str]:
    """Run nginx with the example configuration, on a free port of this machine, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = PROXY.read_text()
    for before, after in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("http://127.0.0.1:8470", server),
        ("/etc/dsm/server.pem", str(certificate)),
        ("/etc/dsm/server.key", str(key)),
    ):
        assert before in text
        text = text.replace(before, after)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(f"daemon off;pid {folder}/pid;events {{}}\nhttp {{{temporary}access_log off;\n{text}}}\n")
    command = ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not _listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_job_runs_through_the_proxy(tmp_path, dsm_tiny):
    for program in ("nginx", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=dsm"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "proxy").mkdir()
    with (
        Server(tmp_path / "server", start_timeout_s=200) as server,
        nginx(tmp_path / "proxy", server.address, certificate, key) as address,
    ):
        server.wait_until_ready()
        token = TOKENS["anna"]
        assert check_connection(address, token).code == "remote.certificate"
        assert check_connection(address, token, certificate_file=str(certificate)).ok
        with RemoteClient(address, token, certificate_file=str(certificate)) as client:
            client.wait(client.submit(Load(id=client.new_id(), model="dsm-tiny")))
            client.wait(send_volume(client), timeout_s=120)
            (found,) = results(client, submit_prompts(client, "liver", threshold=0.2))
        assert found.name == "liver"
        # Nothing of the volume on the disk of the proxy.
        assert [
            path for path in (tmp_path / "proxy").rglob("*") if path.is_file() and path.stat().st_size > 10_000
        ] == []
        text = "".join(server.log) + (tmp_path / "proxy" / "error.log").read_text()
        assert token not in text
