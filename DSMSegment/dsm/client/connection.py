"""HTTP or HTTPS connection to a server with a token, and diagnosis of connection errors."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dsm.errors import DSMError, RemoteError
from dsm.wire.messages import PROTOCOL_VERSION

_MAX_ANSWER_BYTES = 2**28

# From the particular to the general: an SSL error is an OSError, too.
_DIAGNOSES: tuple[tuple[tuple[type[Exception], ...], str, str, str], ...] = (
    (
        (socket.gaierror, UnicodeError),
        "remote.name",
        "There is no machine with the name {host}.",
        "Check the spelling, and the VPN.",
    ),
    (
        (ssl.SSLCertVerificationError,),
        "remote.certificate",
        "The certificate of {where} is refused: {why}.",
        "Check the name and the date, or give the certificate of your department's authority.",
    ),
    (
        (ssl.SSLError,),
        "remote.tls",
        "{where} does not speak HTTPS.",
        "If it is meant to be unencrypted, write http://.",
    ),
    (
        (ConnectionRefusedError,),
        "remote.refused",
        "{host} is there, but nothing listens on port {port}.",
        "Check the port, and that `dsm serve` is running there.",
    ),
    (
        (TimeoutError,),
        "remote.timeout",
        "{where} does not answer within {seconds:.0f} s.",
        "Check the address and the firewall; the machine may be off.",
    ),
    (
        (ConnectionError, http.client.IncompleteRead),
        "remote.broken",
        "The connection to {where} broke off.",
        "If the server wants HTTPS, write https://; else try again.",
    ),
    (
        (http.client.HTTPException,),
        "remote.not_dsm",
        "{where} is no server of DSMSegment.",
        "Check the port.",
    ),
    ((OSError,), "remote.unreachable", "{where} cannot be reached ({why}).", "Check the network."),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a server.

    Args:
        host: Name or number.
        port: TCP port.
        tls: Whether it is HTTPS.
        path: Path prefix of the server behind a proxy; usually empty.
    """

    host: str
    port: int
    tls: bool
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `https://server:8470`; without a scheme it is HTTPS.

        Raises:
            RemoteError: If it is no address.
        """
        whole = text.strip() if "://" in text else f"https://{text.strip()}"
        try:
            parts = urllib.parse.urlsplit(whole)
            port = parts.port
        except ValueError:
            parts, port = urllib.parse.urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            shown = "The text" if "@" in text else f"'{' '.join(text.split())[:80]}'"  # never a password
            raise RemoteError(
                f"{shown} is not the address of a server.",
                code="remote.address",
                hint="Write it as https://server:8470.",
            )
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.tls}://{host}:{self.port}{self.path}"


class Connection:
    """Client of one server that is safe for several threads: one request at a time on each connection.

    Args:
        address: As `Address.parse` reads it.
        token: Bearer token.
        certificate_file: PEM of an authority to trust instead of the system's, for a department's own certificate.
        timeout_s: Timeout for the next byte in s; the server sends a heartbeat every 10 s.
        keep_alive: Whether a connection serves the next request, too; then call `close` in the end.

    Raises:
        RemoteError: If the address is none, or the certificate file cannot be read.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        certificate_file: str | None = None,
        timeout_s: float = 30.0,
        keep_alive: bool = False,
    ) -> None:
        self._idle: queue.SimpleQueue[http.client.HTTPConnection] | None = queue.SimpleQueue() if keep_alive else None
        self.address = Address.parse(address)
        self._token = token.strip()
        self._timeout_s = timeout_s
        if not self._token.isascii() or any(character.isspace() for character in self._token):
            raise RemoteError(
                "The token has characters that no token has.", code="remote.token", hint="Paste it again."
            )
        self._tls = self._tls_context(certificate_file) if self.address.tls else None

    def close(self) -> None:
        """Close idle connections; those in use close with their response."""
        idle, self._idle = self._idle, None
        if idle is not None:
            _close_all(idle)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Iterable[bytes | memoryview] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the JSON object of the response, empty if there is none.

        Raises:
            RemoteError: If the server cannot be reached or refuses; `code` is the server's where it gave one.
        """
        with self.open(method, path, body=body, headers=headers) as answer:
            data = self._explained(lambda: answer.read(_MAX_ANSWER_BYTES + 1))
        if len(data) > _MAX_ANSWER_BYTES:
            raise self._not_ours("its answer is too long")
        return self._json(data) if data else {}

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Iterable[bytes | memoryview] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the response as a stream; raises as `call`."""
        sent = {"Authorization": f"Bearer {self._token}", "Accept": "*/*", **(headers or {})}
        if self._idle is None:
            sent["Connection"] = "close"
        payload: Any = body
        if isinstance(body, Mapping):
            payload = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = self._kept_connection() if payload is None or isinstance(payload, bytes) else None
        answer = None
        if connection is not None:
            with suppress(ConnectionError):  # the server has closed it meanwhile
                answer = self._exchange(connection, method, path, payload, sent)
            if answer is None:
                connection.close()
                connection = None
        connection = connection or self._connection()
        try:
            answer = answer or self._explained(lambda: self._exchange(connection, method, path, payload, sent))
            if answer.status >= 300:
                raise self._refused(answer)
            yield answer
        except BaseException:
            connection.close()
            raise
        self._keep(connection, answer)

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of a stream without heartbeats; raises as `call`."""
        with self.open("GET", path) as answer:
            while line := self._explained(lambda: answer.readline(_MAX_ANSWER_BYTES)):
                if not line.endswith(b"\n"):
                    raise RemoteError(f"The connection to {self.address} broke off.", code="remote.broken")
                if line.strip():
                    yield self._json(line)

    def _kept_connection(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.get_nowait() if self._idle is not None else None
        except queue.Empty:
            return None

    def _keep(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        """Keep a connection for reuse after its response was read completely, if the server allows it."""
        idle = self._idle
        if idle is None or not answer.isclosed() or answer.will_close:
            connection.close()
            return
        idle.put(connection)
        if self._idle is None:  # meanwhile
            _close_all(idle)

    def _connection(self) -> http.client.HTTPConnection:
        place = (self.address.host, self.address.port)
        if self._tls is not None:
            return http.client.HTTPSConnection(*place, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(*place, timeout=self._timeout_s)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self.address.path + path, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses an upload answers before it has read all of it.
            if body is None:
                raise
        return connection.getresponse()

    def _tls_context(self, certificate_file: str | None) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=certificate_file)
        except (OSError, ssl.SSLError) as error:
            raise RemoteError(
                f"The certificate file {certificate_file} cannot be read.",
                code="remote.certificate_file",
                hint="Give a PEM file.",
                details=str(error),
            ) from error

    def _explained(self, action: Any) -> Any:
        """Run `action`, and raise network errors with their diagnosis."""
        try:
            return action()
        except DSMError:
            raise
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            code, text, hint = self._diagnosis(error)
            raise RemoteError(text, code=code, hint=hint, details=repr(error)) from error

    def _diagnosis(self, error: Exception) -> tuple[str, str, str]:
        """Return code, text and hint of the first matching kind of error."""
        for kinds, code, text, hint in _DIAGNOSES:
            if isinstance(error, kinds):
                why = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
                known = {"where": self.address, "host": self.address.host, "port": self.address.port}
                return code, text.format(**known, why=why, seconds=self._timeout_s), hint
        raise AssertionError(error)

    def _refused(self, answer: http.client.HTTPResponse) -> RemoteError:
        try:
            problem = json.loads(answer.read(2**16))
            code, text, hint = (str(problem[name]) for name in ("code", "text", "hint"))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return self._not_ours(f"it answers with status {answer.status}")
        if code == "token":
            return RemoteError("The server does not know this token.", code="remote.token", hint=hint)
        return RemoteError(text, code=code, hint=hint)

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._not_ours("its answer is no JSON") from error
        if not isinstance(value, dict):
            raise self._not_ours("its answer is no JSON object")
        return value

    def _not_ours(self, why: str) -> RemoteError:
        return RemoteError(
            f"{self.address} is no server of DSMSegment: {why}.",
            code="remote.not_dsm",
            hint="Check the address and the port.",
        )


def _close_all(idle: queue.SimpleQueue[http.client.HTTPConnection]) -> None:
    with suppress(queue.Empty):
        while True:
            idle.get_nowait().close()


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """Result of a connection test.

    Args:
        ok: Whether jobs can be sent.
        code: `"ok"`, or what is wrong: `"remote.name"`, `"remote.refused"`, `"remote.timeout"`, `"remote.certificate"`,
            `"remote.tls"`, `"remote.not_dsm"`, `"remote.token"`, `"remote.version"`, `"remote.starting"` …
        text: The same for people.
        hint: Remedy.
        capabilities: Capabilities of the server; empty if the test failed before.
    """

    ok: bool
    code: str
    text: str
    hint: str
    capabilities: Mapping[str, Any]


def check_connection(
    address: str, token: str, *, certificate_file: str | None = None, timeout_s: float = 5.0
) -> ConnectionTest:
    """Test a server, from its host name to its model; never raises, and sends no scan.

    Args:
        address: E.g. `"https://server:8470"`.
        token: Bearer token.
        certificate_file: See `Connection`.
        timeout_s: For each step.
    """
    capabilities: dict[str, Any] = {}
    try:
        connection = Connection(address, token, certificate_file=certificate_file, timeout_s=timeout_s)
        health = connection.call("GET", "/healthz")
        if health.keys() < {"status", "workers"}:
            raise connection._not_ours("it does not say how it is")  # noqa: SLF001  (one file)
        capabilities = connection.call("GET", "/capabilities")
        _check_version(connection, capabilities)
    except RemoteError as error:
        return ConnectionTest(False, error.code, str(error), error.hint, capabilities)
    what = f"{connection.address} serves {capabilities.get('model')} (version {capabilities.get('version')})."
    if health["status"] != "ok":
        hint = "It is starting, or its worker does not start: see the server's log."
        return ConnectionTest(False, "remote.starting", f"{what} No worker is ready yet.", hint, capabilities)
    return ConnectionTest(True, "ok", what, "", capabilities)


def _check_version(connection: Connection, capabilities: Mapping[str, Any]) -> None:
    if capabilities.get("service") != "dsm":
        raise connection._not_ours("it calls itself something else")  # noqa: SLF001
    if capabilities.get("protocol") != PROTOCOL_VERSION:
        raise RemoteError(
            f"{connection.address} speaks protocol {str(capabilities.get('protocol'))[:20]}; this side speaks "
            f"{PROTOCOL_VERSION}.",
            code="remote.version",
            hint="Install the same version of DSMSegment on both sides.",
        )
