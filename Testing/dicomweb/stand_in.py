"""A DICOMweb server with faults: what a real one does not do on demand."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

_BOUNDARY = b"limit"
_PATHS = re.compile(r"/rs/studies(?:/([\d.]+))?(/series)?(?:/([\d.]+))?(/instances)?(?:/([\d.]+))?")


class StandIn:
    """One series, and what goes wrong with it.

    Args:
        folder: Files of the series.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {str(dcmread(file).SOPInstanceUID): file.read_bytes() for file in sorted(folder.iterdir())}
        first = dcmread(next(iter(sorted(folder.iterdir()))))
        self.study, self.series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
        self.address = ""
        self.lost: set[str] = set()  # listed, and not given
        self.break_after: int | None = None  # instances of a stream
        self.cut_last = False  # the last instance of a stream ends early, as if that were all
        self.same_page = False  # every page of a search is the first
        self.statuses: list[int] = []  # of the next answers
        self.redirect = ""
        self.store_status, self.store_answer = 200, b""
        self.stored: list[bytes] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def scan(self) -> str:
        """Address of the series."""
        return f"{self.address}/studies/{self.study}/series/{self.series}"

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
        """Serve on a free port of this machine."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        self.address = f"http{'s' * (tls is not None)}://127.0.0.1:{server.server_port}/rs"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name of the base class)
        pass

    def do_GET(self) -> None:
        it = self.stand_in
        it.requests.append(("GET", self.path, dict(self.headers)))
        if it.statuses:
            self._answer(it.statuses.pop(0), b"", ("Retry-After", "0"))
        elif it.redirect:
            self._answer(302, b"", ("Location", it.redirect))
        else:
            self._give()

    def _give(self) -> None:
        it = self.stand_in
        parts = urlsplit(self.path)
        offset = 0 if it.same_page else int(parse_qs(parts.query).get("offset", ["0"])[0])
        match = _PATHS.fullmatch(parts.path)
        if (
            match is None
            or match[1] not in (None, it.study)
            or match[3] not in (None, it.series)
            or match[5] in it.lost
        ):
            self._answer(404, b"")
            return
        study, series_level, series, instances, instance = match.groups()
        if instance:
            self._multipart([instance])
        elif instances:
            self._json([{"00080018": [uid]} for uid in it.files][offset:])
        elif series:
            self._multipart([uid for uid in it.files if uid not in it.lost], it.break_after)
        elif study and series_level:
            self._json([{"0020000E": [it.series], "00080060": ["CT"], "00201209": [len(it.files)]}][offset:])
        else:
            self._json([{"0020000D": [it.study], "00080020": ["20240101"]}][offset:])

    def do_POST(self) -> None:
        it = self.stand_in
        it.requests.append(("POST", self.path, dict(self.headers)))
        it.stored.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(it.store_status, it.store_answer, ("Content-Type", "application/dicom+json; charset=utf-8"))

    def _json(self, rows: list[dict[str, list[object]]]) -> None:
        kinds = {"00080060": "CS", "00201209": "IS", "00080020": "DA"}
        full = [{tag: {"vr": kinds.get(tag, "UI"), "Value": value} for tag, value in row.items()} for row in rows]
        self._answer(200, json.dumps(full).encode(), ("Content-Type", "application/dicom+json"))

    def _multipart(self, uids: list[str], break_after: int | None = None) -> None:
        it = self.stand_in
        parts = [it.files[uid] for uid in uids]
        if it.cut_last:
            parts[-1] = parts[-1][:-40]
        whole = b"".join(
            b"\r\n--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + part for part in parts
        )
        whole += b"\r\n--" + _BOUNDARY + b"--\r\n"
        kind = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY.decode()}'
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if break_after is not None:
            whole = whole[: sum(map(len, parts[:break_after])) + 100 * break_after]
            self.close_connection = True
        self.wfile.write(whole)

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
