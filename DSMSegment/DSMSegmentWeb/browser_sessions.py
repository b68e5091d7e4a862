"""Browser sessions, each in its own process: scenes are isolated; closing one frees its memory."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsm.errors import ResourceError, WorkerError
from DSMSegmentWeb.access import TOKEN_VARIABLE, token_cookie

_LOOPBACK = "127.0.0.1"
# Some seconds on an idle machine; minutes have been seen on one that was ten times overloaded.
_START_S = 300.0
_END_S = 8.0
# A page that is being loaded again is gone for a moment.
_ABANDONED_S = 60.0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of the server.

    Args:
        scenes: Number of scenes at a time.
        idle_s: Seconds without a message from the page or to it, after which a scene is closed.
    """

    scenes: int = 4
    idle_s: float = 30 * 60.0


class BrowserSession:
    """A process with a scene, and the browser that it belongs to.

    Args:
        process: Listens on this computer only, and answers whoever has the token.
        port: Port that it listens on.
        token: Its secret.
        folder: For its temporary files.
        problem: Why the scan could not be opened; empty if it was.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        port: int,
        token: str,
        folder: tempfile.TemporaryDirectory[str],
        problem: str,
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = ""
        self.address = f"http://{_LOOPBACK}:{port}"
        self.headers = {"Cookie": token_cookie(token)}
        self.problem = problem
        self.num_pages = 0
        self._used = time.monotonic()
        self._process = process
        self._folder = folder

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> BrowserSession:
        """Start a process.

        Args:
            arguments: Of `scene_process.py`.

        Raises:
            WorkerError: If it does not come up.
        """
        token = secrets.token_urlsafe(32)
        folder = tempfile.TemporaryDirectory(prefix="dsm-scene-", ignore_cleanup_errors=True)
        environment = {
            **os.environ,
            TOKEN_VARIABLE: token,
            # Temporary files of a scene, even a killed one, are removed with this folder.
            "TMPDIR": folder.name,
            "TEMP": folder.name,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
            # Pictures are compressed already.
            "WSLINK_WS_COMPRESS": "0",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "DSMSegmentWeb.scene_process",
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            ready = await asyncio.wait_for(_ready_line(process), _START_S)
        except (WorkerError, TimeoutError, asyncio.CancelledError) as error:
            await _end(process)
            folder.cleanup()
            if isinstance(error, TimeoutError):
                raise WorkerError("The scene did not start in time.", hint="Try again.") from error
            raise
        return cls(process, ready["port"], token, folder, ready["problem"])

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """True if the process is running."""
        return self._process.returncode is None

    @property
    def unused_s(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._used

    def note_use(self) -> None:
        """Record a message between the page and the scene."""
        self._used = time.monotonic()

    async def close(self) -> None:
        """Terminate the process and its children, and remove its files."""
        await _end(self._process)
        self._folder.cleanup()


class BrowserSessions:
    """All scenes of a server.

    Args:
        arguments: Arguments of `scene_process.py`, for each scene.
        limits: Number and idle time of scenes.
    """

    def __init__(self, arguments: Sequence[str], limits: SessionLimits) -> None:
        self._arguments = tuple(arguments)
        self._limits = limits
        self._scenes: dict[str, BrowserSession] = {}
        self._starting = asyncio.Lock()

    async def prepare(self) -> BrowserSession:
        """Start a spare scene in advance; the first browser gets it immediately."""
        async with self._starting:
            return await self._start()

    async def take(self, owner: str) -> BrowserSession:
        """Return a new scene for a browser.

        Raises:
            ResourceError: If the limit is reached and all scenes are in use.
        """
        async with self._starting:
            scene = next((scene for scene in self._living() if not scene.owner), None) or await self._start()
            scene.owner = owner
            scene.note_use()
            return scene

    def find(self, scene_id: str, owner: str) -> BrowserSession | None:
        """Return a scene to the browser that owns it; None for all others, and after it was closed."""
        scene = self._scenes.get(scene_id)
        if scene is None or not scene.is_alive or not hmac.compare_digest(scene.owner.encode(), owner.encode()):
            return None
        return scene

    async def close_idle(self) -> None:
        """Close idle scenes, in an endless loop."""
        while True:
            await asyncio.sleep(min(self._limits.idle_s / 4, 30.0))
            for scene in list(self._scenes.values()):
                if not scene.is_alive or scene.unused_s > self._limits.idle_s:
                    await self._close(scene)

    async def close(self) -> None:
        """Close all scenes."""
        await asyncio.gather(*(self._close(scene) for scene in list(self._scenes.values())))

    async def _start(self) -> BrowserSession:
        if len(self._living()) >= self._limits.scenes:
            await self._close_abandoned()
        scene = await BrowserSession.start(self._arguments)
        self._scenes[scene.id] = scene
        return scene

    async def _close_abandoned(self) -> None:
        abandoned = [scene for scene in self._living() if not scene.num_pages and scene.unused_s > _ABANDONED_S]
        if not abandoned:
            raise ResourceError(
                f"All {self._limits.scenes} scenes of this server are in use.",
                code="resource.scenes",
                hint="Close a page that is not needed, wait a minute, and try again.",
            )
        await self._close(max(abandoned, key=lambda scene: scene.unused_s))

    async def _close(self, scene: BrowserSession) -> None:
        self._scenes.pop(scene.id, None)
        await scene.close()

    def _living(self) -> list[BrowserSession]:
        return [scene for scene in self._scenes.values() if scene.is_alive]


async def _ready_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101  (it is a pipe)
    async for line in process.stdout:
        with contextlib.suppress(ValueError):
            ready: dict[str, Any] = json.loads(line)
            return ready
    raise WorkerError("The process of the scene ended while it started.", hint="What it printed says why.")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the pipe, which asks a scene to exit, and kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
