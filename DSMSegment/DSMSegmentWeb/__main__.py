"""`python -m DSMSegmentWeb [SCAN]`: start the server, and open the page in a browser."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from dsm.errors import DSMError, MissingDependencyError
from dsm.models.store import find_model


def main(arguments: list[str] | None = None) -> int:
    """Start the server; returns the exit status when it has ended."""
    options = _parser().parse_args(arguments)
    try:
        find_model(options.model)
        return _serve(options)
    except DSMError as error:
        print(f"DSMSegmentWeb: {error.one_line}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m DSMSegmentWeb",
        description="Text-prompted segmentation in a browser. Research use only, not a medical device.",
    )
    parser.add_argument(
        "scan", nargs="?", type=Path, help="NIfTI, NRRD, MHA, or a folder of a DICOM series (default: a chest CT)"
    )
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes any that is free (default: %(default)s)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this computer only); all others need the token that is "
        "printed, or that of $DSM_WEB_TOKEN",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser


def _serve(options: argparse.Namespace) -> int:
    try:
        from trame.app import get_server

        from DSMSegmentWeb.application import Application
    except ImportError as error:
        message = f"The page needs a package that is not installed ({error.name})."
        raise MissingDependencyError(message, hint="Install it with: pip install 'dsmsegment[slicer]'") from error
    from DSMSegmentLib import WorkerBackend
    from DSMSegmentWeb.access import Access

    access = Access.to(options.host, os.environ)
    server = get_server(client_type="vue3")
    application = Application(server, WorkerBackend(options.model, device=options.device), access)

    async def ready() -> None:
        try:
            await application.open(options.scan or _chest_ct())
        except DSMError as error:
            application.show_error(error)
            print(f"DSMSegmentWeb: {error.one_line}", file=sys.stderr)
        _announce(access, server.port, open_browser=not options.no_browser)

    server.controller.on_server_ready.add(lambda **_: asyncio.create_task(ready()))
    del sys.argv[1:]  # trame would read our command line as its own
    server.start(
        port=options.port, host=options.host, open_browser=False, show_connection_info=False, disable_logging=True
    )
    return 0


def _chest_ct() -> Path:
    """Return the CT that comes in the package slicerio: 128 x 128 x 34 voxels of 3 x 3 x 10 mm."""
    return Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))


def _announce(access: Any, port: int, *, open_browser: bool) -> None:
    """Print the address, and who can reach it."""
    import webbrowser

    query = f"?token={access.token}" if access.token else ""
    host = f"[{access.host}]" if ":" in access.host else access.host
    address = f"http://{host}:{port}/{query}"
    print(f"DSM Segment is at {address}", flush=True)
    if access.token:
        print(
            "Whoever has this address sees the scan, and can change what is shown. The connection is not encrypted: "
            "beyond a network that you trust, put it behind a proxy with TLS.",
            flush=True,
        )
    if open_browser:
        webbrowser.open(address)


if __name__ == "__main__":
    sys.exit(main())
