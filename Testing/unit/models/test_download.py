"""Download of models: encrypted, cancellable, complete or not at all."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dsm.errors import InputError, JobCancelled, WeightsError
from dsm.models.archive import pack_model
from dsm.models.download import DownloadError, download, local_path
from dsm.models.library import ModelLibrary


class Site(ThreadingHTTPServer):
    """Serves one folder over https, and misbehaves under some addresses."""

    folder: Path
    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = self.socket.accept()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        pass  # a client that does not trust the certificate hangs up

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        if name.startswith("plain"):
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/model.zip")
            self.end_headers()
            return
        if name.startswith("moved"):
            self.send_response(302)
            self.send_header("Location", f"{self.server.address}/model.zip")
            self.end_headers()
            return
        path = self.server.folder / name.removeprefix("cut-")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if name.startswith("cut-") else data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=dsm"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def site(certificate: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server = Site(("127.0.0.1", 0), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server.folder = tmp_path / "site"
    server.folder.mkdir()
    pack_model(tiny_model, server.folder / "model.zip")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_download_reports_progress_in_bytes(site: Site, place: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = download(f"{site.address}/model.zip", place, progress=lambda *step: seen.append(step))
    data = (site.folder / "model.zip").read_bytes()
    assert path.read_bytes() == data
    assert seen[0] == ("download", 0, len(data))
    assert seen[-1] == ("download", len(data), len(data))


def test_model_is_installed_from_an_address(site: Site, tmp_path: Path) -> None:
    entry = ModelLibrary(tmp_path / "models").install(f"{site.address}/moved.zip", name="mine")
    assert entry.path == tmp_path / "models" / "mine"
    with pytest.raises(WeightsError, match="not the expected archive"):
        ModelLibrary(tmp_path / "others").install(f"{site.address}/model.zip#sha256={'0' * 64}")
    assert not (tmp_path / "others").exists()


def test_cancel_stops_the_download_and_leaves_no_files(site: Site, tmp_path: Path) -> None:
    def cancel(_stage: str, done: int, _total: int) -> None:
        if done:
            raise JobCancelled("enough")

    with pytest.raises(JobCancelled):
        ModelLibrary(tmp_path / "models").install(f"{site.address}/model.zip", progress=cancel)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.zip", "404 Not Found"),
        ("cut-model.zip", "The connection broke after"),
        ("plain.zip", "redirects to http://.*not encrypted"),
    ],
)
def test_download_errors(site: Site, place: Path, name: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said) as caught:
        download(f"{site.address}/{name}", place)
    assert caught.value.hint


def test_untrusted_certificate_is_refused(site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
        download(f"{site.address}/model.zip", place)


def test_connection_refused(place: Path) -> None:
    with pytest.raises(DownloadError, match="could not be fetched") as caught:
        download("https://127.0.0.1:9/model.zip", place)
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1/model.zip", "ftp://127.0.0.1/model.zip", "https:///model.zip"])
def test_address_must_be_https(url: str, place: Path) -> None:
    with pytest.raises(InputError, match="is not an https"):
        download(url, place)


def test_address_must_name_a_zip_file(place: Path) -> None:
    with pytest.raises(InputError, match=r"does not name a \.zip file"):
        download("https://127.0.0.1/model.pt", place)


def test_paths_of_file_addresses(tmp_path: Path) -> None:
    path = tmp_path / "a b%.zip"
    assert local_path(path.as_uri()) == path
    assert local_path("https://127.0.0.1/a.zip") is None
