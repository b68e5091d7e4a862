"""Web server: start, announce the address, and serve until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import webbrowser
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from dsm.core.precision import AUTO
from dsm.errors import ConfigError, MissingDependencyError
from dsm.models.store import find_model
from DSMSegmentWeb.access import Access
from DSMSegmentWeb.browser_sessions import BrowserSessions, SessionLimits
from DSMSegmentWeb.remote import Remote
from DSMSegmentWeb.session_proxy import SessionProxy


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of the server.

    Args:
        scan: That each scene starts with; None for the chest CT of the package slicerio.
        series: UID of the DICOM series; None asks on the page where the folder of the scan holds several.
        model: Name or folder.
        device: `"cpu"`, `"cuda"`, ...
        precision: Of the encoding, see `dsm.core.precision`.
        remote: The server that segments in place of this computer, if one does; model and device are its own then.
        host: Address to listen on.
        port: 0 takes any that is free.
        limits: How many scenes, and for how long.
        opens_browser: Whether to open the page.
    """

    scan: Path | None = None
    series: str | None = None
    model: str = "dsm-small"
    device: str = "cpu"
    precision: str = AUTO
    remote: Remote | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    limits: SessionLimits = field(default_factory=SessionLimits)
    opens_browser: bool = True


def serve(options: ServeOptions) -> None:
    """Serve until Ctrl+C or SIGTERM.

    Raises:
        ModelNotFoundError: If there is no such model.
        ConfigError: If the token is too short, or nobody can listen there.
        MissingDependencyError: If a package is not installed.
        WorkerError: If a scene does not start.
    """
    if options.remote is None:
        find_model(options.model)
    for package in ("trame_slicer", "slicer", "slicerio"):
        if find_spec(package) is None:
            message = f"The page needs a package that is not installed ({package})."
            raise MissingDependencyError(message, hint="Install it with: pip install 'dsmsegment[slicer]'")
    access = Access.to(options.host, os.environ)
    with tempfile.TemporaryDirectory(prefix="dsm-web-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_serve(options, access, Path(folder)))


async def _serve(options: ServeOptions, access: Access, folder: Path) -> None:
    told = _told_to_end()
    scenes = BrowserSessions(_scene_arguments(options, folder), options.limits)
    runner = web.AppRunner(SessionProxy(scenes, access).application())
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, options.host, options.port).start()
        except OSError as error:
            raise ConfigError(
                f"Nobody can listen on {options.host}:{options.port} ({error.strerror}).",
                hint="Choose another --port; 0 takes any that is free.",
            ) from error
        first = await scenes.prepare()
        if first.problem:
            print("dsm web:", first.problem, file=sys.stderr)
        if options.remote is not None:
            found = await asyncio.to_thread(options.remote.test)
            print("dsm web:", found.text, found.hint, file=sys.stderr)
        _announce(access, runner.addresses[0][1], opens_browser=options.opens_browser)
        await told.wait()
    finally:
        await runner.cleanup()


def _scene_arguments(options: ServeOptions, folder: Path) -> list[str]:
    arguments = ["--model", options.model, "--device", options.device, "--precision", options.precision]
    arguments += ["--speeds", str(folder / "speeds.json")]
    if options.remote:
        arguments += options.remote.arguments
    if options.series:
        arguments += ["--series", options.series]
    if options.scan:
        arguments += ["--", str(options.scan.absolute())]
    return arguments


def _told_to_end() -> asyncio.Event:
    """Return an event set by Ctrl+C and SIGTERM."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl+C raises KeyboardInterrupt
            loop.add_signal_handler(number, told.set)
    return told


def _announce(access: Access, port: int, *, opens_browser: bool) -> None:
    """Print the address, and who can access it."""
    query = f"?token={access.token}" if access.token else ""
    host = f"[{access.host}]" if ":" in access.host else access.host
    address = f"http://{host}:{port}/{query}"
    print(f"DSM Segment is at {address}", flush=True)
    if access.token:
        print(
            "Whoever has this address can open a scene of their own, with the scan that the server was started with. "
            "The connection is not encrypted: beyond a network that you trust, put it behind a proxy with TLS.",
            flush=True,
        )
    if opens_browser:
        webbrowser.open(address)
