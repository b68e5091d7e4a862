"""`python -m DSMSegmentWeb.scene_process`: one scene and its page, started and stopped by `browser_sessions.py`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from importlib import resources
from pathlib import Path

from trame.app import get_server

from dsm.client.remote import Remote
from dsm.errors import DSMError
from DSMSegmentLib import Backend, RemoteBackend, WorkerBackend
from DSMSegmentWeb.access import Access
from DSMSegmentWeb.application import Application
from DSMSegmentWeb.engine_choice import InitialChoices

_LOOPBACK = "127.0.0.1"
_END_S = 5.0


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--modality", default="")
    parser.add_argument("--speeds", required=True, type=Path)
    parser.add_argument("--series")
    parser.add_argument("--remote")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("scan", nargs="?", type=Path)
    options = parser.parse_args()
    server = get_server(client_type="vue3")
    access = Access.to(_LOOPBACK, os.environ)
    choices = InitialChoices(
        model=options.model, device=options.device, precision=options.precision, modality=options.modality
    )
    application = Application(server, _backend(options), access, options.speeds, choices)
    loop = asyncio.get_event_loop()

    async def ready() -> None:
        problem = ""
        try:
            await application.open(options.scan or _chest_ct(), options.series)
        except DSMError as error:
            application.show_error(error)
            problem = error.one_line
        sys.stdout.write(json.dumps({"port": server.port, "problem": problem}) + "\n")
        sys.stdout.flush()
        # Nobody reads further lines, and a full pipe would stop us.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        await application.find_devices()

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        asyncio.run_coroutine_threadsafe(server.stop(), loop)
        threading.Timer(_END_S, os._exit, (1,)).start()

    server.controller.on_server_ready.add(lambda **_: asyncio.create_task(ready()))
    threading.Thread(target=end_with_parent, daemon=True).start()
    del sys.argv[1:]  # trame would read our command line as its own
    server.start(port=0, host=_LOOPBACK, open_browser=False, show_connection_info=False, disable_logging=True)
    application.close()
    # Tearing VTK down takes seconds, and frees nothing that the end of the process does not free.
    os._exit(0)


def _backend(options: argparse.Namespace) -> Backend:
    if not options.remote:
        return WorkerBackend(options.model, device=options.device, precision=options.precision)
    remote = Remote.at(options.remote, options.certificate, os.environ)
    return RemoteBackend(remote.address, remote.token, certificateFile=remote.certificate)


def _chest_ct() -> Path:
    """Return the CT of the package slicerio: 128 x 128 x 34 voxels of 3 x 3 x 10 mm."""
    return Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))


if __name__ == "__main__":
    main()
