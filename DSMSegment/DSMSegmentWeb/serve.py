"""Web server: start, announce the address, and serve until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import tempfile
import webbrowser
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from dsm.client.remote import Remote
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.extras import install_hint
from dsm.core.precision import AUTO
from dsm.errors import ConfigError, MissingDependencyError
from dsm.models.store import find_model
from DSMSegmentWeb.access import TOKEN_VARIABLE, Access
from DSMSegmentWeb.browser_sessions import BrowserSessions, SessionLimits
from DSMSegmentWeb.session_proxy import SessionProxy


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of the server.

    Args:
        scan: Initial scan of each scene; None for the chest CT of the package slicerio.
        series: UID of the DICOM series; None asks on the page where the folder of the scan holds several.
        model: Name or folder.
        device: `"cpu"`, `"cuda"`, ...
        precision: Of the encoding, see `dsm.core.precision`.
        modality: `"CT"` or `"MR"` for the scan that each scene starts with; empty to find out.
        remote: Server that segments instead of this computer, with its own model and device; None for this computer.
        host: Address to listen on.
        certificate: PEM for HTTPS; None for HTTP.
        key: Its private key.
        port: Port to listen on; 0 for any free one.
        limits: Number and idle time of scenes.
        opens_browser: Whether to open the page.
    """

    scan: Path | None = None
    series: str | None = None
    model: str = DEFAULT_MODEL
    device: str = "cpu"
    precision: str = AUTO
    modality: str = ""
    remote: Remote | None = None
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    port: int = 8080
    limits: SessionLimits = field(default_factory=SessionLimits)
    opens_browser: bool = True


def serve(options: ServeOptions) -> None:
    """Serve until Ctrl+C or SIGTERM.

    Raises:
        ModelNotFoundError: If there is no such model.
        ConfigError: If the token is too short, or the address cannot be listened on.
        MissingDependencyError: If a package is not installed.
        WorkerError: If a scene does not start.
    """
    if options.remote is None:
        find_model(options.model)
    for package in ("trame_slicer", "slicer", "slicerio"):
        if find_spec(package) is None:
            message = f"The page needs a package that is not installed ({package})."
            raise MissingDependencyError(message, hint=install_hint("slicer"))
    access = Access.to(options.host, os.environ)
    with tempfile.TemporaryDirectory(prefix="dsm-web-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_serve(options, access, Path(folder)))


async def _serve(options: ServeOptions, access: Access, folder: Path) -> None:
    end = _end_event()
    tls = _tls_context(options)
    scenes = BrowserSessions(_scene_arguments(options, folder), options.limits)
    runner = web.AppRunner(SessionProxy(scenes, access).application())
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, options.host, options.port, ssl_context=tls).start()
        except OSError as error:
            raise ConfigError(
                f"The server cannot listen on {options.host}:{options.port} ({error.strerror}).",
                hint="Choose another --port; 0 takes any that is free.",
            ) from error
        first = await scenes.prepare()
        if first.problem:
            print("dsm web:", first.problem, file=sys.stderr)
        if options.remote is not None:
            found = await asyncio.to_thread(options.remote.test)
            print("dsm web:", found.text, found.hint, file=sys.stderr)
        _announce(access, runner.addresses[0][1], is_encrypted=tls is not None, opens_browser=options.opens_browser)
        await end.wait()
    finally:
        await runner.cleanup()


def _scene_arguments(options: ServeOptions, folder: Path) -> list[str]:
    arguments = ["--model", options.model, "--device", options.device, "--precision", options.precision]
    arguments += ["--speeds", str(folder / "speeds.json")]
    if options.remote:
        arguments += options.remote.arguments
    if options.modality:
        arguments += ["--modality", options.modality]
    if options.series:
        arguments += ["--series", options.series]
    if options.scan:
        arguments += ["--", str(options.scan.absolute())]
    return arguments


def _end_event() -> asyncio.Event:
    """Return an event set by Ctrl+C and SIGTERM."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl+C raises KeyboardInterrupt
            loop.add_signal_handler(number, end.set)
    return end


def _tls_context(options: ServeOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"The certificate or its key cannot be used ({error}).", hint="Give PEM files.") from error
    return context


def _announce(access: Access, port: int, *, is_encrypted: bool, opens_browser: bool) -> None:
    """Print the address, and what the page asks for; a token that was given is not repeated."""
    address = f"http{'s' * is_encrypted}://{_reachable_name(access.host)}:{port}/"
    print(f"DSM Segment is at {address}", flush=True)
    if access.token:
        print(f"Token: {f'that of ${TOKEN_VARIABLE}' if os.environ.get(TOKEN_VARIABLE) else access.token}", flush=True)
        print(
            "Whoever has the token can open a scene of their own, with the scan that the server was started with."
            + ("" if is_encrypted else " The connection is not encrypted: put it behind a proxy with TLS."),
            flush=True,
        )
    if opens_browser:
        webbrowser.open(address)


def _reachable_name(host: str) -> str:
    """Return the host for an address; the name of this machine where all of its addresses are listened on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
