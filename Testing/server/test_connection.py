"""Diagnoses of *Test connection*, for a server that works, is missing, or is something else."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from http_server import TOKENS, Server

from dsm.client.connection import Address, check_connection
from dsm.errors import RemoteError
from dsm.wire.messages import PROTOCOL_VERSION

pytestmark = pytest.mark.xdist_group("server")  # one server for all of them

TOKEN = TOKENS["anna"]


def test_working_server(server: Server) -> None:
    found = check_connection(server.address, TOKEN)
    assert (found.ok, found.code) == (True, "ok")
    assert "dsm-tiny" in found.text
    assert found.capabilities["user"] == "anna"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("", "remote.address"),
        ("ftp://server", "remote.address"),
        ("http://", "remote.address"),
        ("http://server:99999", "remote.address"),
        ("http://user:secret@server", "remote.address"),
        ("http://a..b", "remote.name"),
        ("http://127.0.0.1:1", "remote.refused"),
        ("127.0.0.1:1", "remote.refused"),
    ],
)
def test_wrong_addresses(address: str, code: str) -> None:
    found = check_connection(address, TOKEN, timeout_s=2)
    assert (found.ok, found.code) == (False, code), found
    assert found.hint
    assert "secret" not in found.text


def test_unknown_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no name server is asked in a test
    found = check_connection("https://no-such-server.example", TOKEN)
    assert (found.code, "no-such-server.example" in found.text) == ("remote.name", True)


@pytest.mark.parametrize("token", ["", "wrong-token-0123456789", "two words", "tökén"])
def test_wrong_tokens(server: Server, token: str) -> None:
    found = check_connection(server.address, token)
    assert (found.ok, found.code) == (False, "remote.token")


def test_https_address_of_an_http_server(server: Server) -> None:
    found = check_connection(server.address.replace("http:", "https:"), TOKEN)
    assert (found.code, "http://" in found.hint) == ("remote.tls", True)


def test_unresponsive_machine_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = check_connection(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, timeout_s=0.5)
    assert found.code == "remote.timeout"


class Answer(http.server.BaseHTTPRequestHandler):
    """Another service, which answers everything with what the test wants."""

    bodies: ClassVar[dict[str, tuple[int, bytes]]] = {}

    def do_GET(self) -> None:
        status, body = self.bodies.get(self.path, (404, b"<html>nginx</html>"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def other_service(bodies: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    Answer.bodies = bodies
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()


HEALTHY = (200, b'{"status": "ok", "workers": 1}')


@pytest.mark.parametrize(
    ("bodies", "code"),
    [
        ({}, "remote.not_dsm"),
        ({"/healthz": (200, b"OK")}, "remote.not_dsm"),
        ({"/healthz": (200, b"[1]")}, "remote.not_dsm"),
        ({"/healthz": (200, b"{}")}, "remote.not_dsm"),
        ({"/healthz": (302, b"")}, "remote.not_dsm"),
        ({"/healthz": HEALTHY, "/capabilities": (200, b'{"service": "x"}')}, "remote.not_dsm"),
        ({"/healthz": HEALTHY, "/capabilities": (200, b'{"service": "dsm", "protocol": 99}')}, "remote.version"),
        ({"/healthz": HEALTHY, "/capabilities": (200, b'{"service": "dsm"}')}, "remote.version"),
        (
            {
                "/healthz": (200, b'{"status": "starting", "workers": 0}'),
                "/capabilities": (200, b'{"service": "dsm", "protocol": %d}' % PROTOCOL_VERSION),
            },
            "remote.starting",
        ),
    ],
)
def test_other_services_and_servers_that_are_not_ready(bodies: dict[str, tuple[int, bytes]], code: str) -> None:
    with other_service(bodies) as address:
        found = check_connection(address, TOKEN)
    assert (found.ok, found.code) == (False, code)
    assert found.hint


def test_service_with_another_protocol() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        found = check_connection(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN)
        thread.join()
    assert found.code == "remote.not_dsm"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own for this machine, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=dsm"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_https(tmp_path: Path, dsm_tiny: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with Server(tmp_path / "server", "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        assert server.address.startswith("https://")
        assert check_connection(server.address, TOKEN).code == "remote.certificate"
        trusted = check_connection(server.address, TOKEN, certificate_file=str(cert))
        assert trusted.code in ("ok", "remote.starting")
        other_name = server.address.replace("127.0.0.1", "localhost")
        assert check_connection(other_name, TOKEN, certificate_file=str(cert)).code == "remote.certificate"
        assert check_connection(server.address.replace("https:", "http:"), TOKEN).code == "remote.broken"
        assert check_connection(server.address, TOKEN, certificate_file=str(key)).code == "remote.certificate_file"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("server", "https://server:443"),
        ("server:8470", "https://server:8470"),
        (" http://server/dsm/ ", "http://server:80/dsm"),
        ("https://[::1]:8470", "https://[::1]:8470"),
    ],
)
def test_addresses(text: str, read: str) -> None:
    assert str(Address.parse(text)) == read


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(RemoteError):
        Address.parse("https://a:b@server")
