"""The volumes that one client has on a server: sent once, kept while they are used, removed in the end."""

from __future__ import annotations

import base64
import hashlib
import threading
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dsm.client.connection import Connection, RemoteError
from dsm.errors import ImageError
from dsm.wire.arrays import resolve_in_folder
from dsm.wire.messages import SetVolume

# What a worker keeps encoded (`dsm.worker.session`): more would fill the server with what nobody uses.
_KEPT = 2

_Call: TypeAlias = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Sent:
    """The id of a volume on the server, and a hash of all that was sent."""

    id: str
    digest: bytes


class RemoteVolumes:
    """Volumes by the names that the host gave them; safe for two threads, one of which closes it.

    Args:
        connection: To the server.
        folder: Where the host puts the files of its volumes.
    """

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._lock = threading.Lock()
        self._sent: dict[str, _Sent] = {}  # the last one is the newest
        self._closed = False

    @property
    def keys(self) -> list[str]:
        """Names of the volumes, the one that was used last at the end."""
        with self._lock:
            return list(self._sent)

    def id_of(self, key: str) -> str:
        """Return how the server calls a volume.

        Raises:
            RemoteError: If it was not sent, or is gone.
        """
        with self._lock:
            sent = self._sent.get(key)
        if sent is None:
            raise RemoteError("The volume was not sent (any more).", code="no_volume", hint="Send it again.")
        return sent.id

    def put(
        self, request: SetVolume, *, again: Callable[[_Call], dict[str, Any]], on_sent: Callable[[int, int], None]
    ) -> str:
        """Send a volume, unless the server has it, and remove the oldest beyond two.

        Args:
            request: Names the file and says where its voxels lie; without a file, the volume must have been sent under
                its key. Its name of the volume is not sent.
            again: Runs the upload, more than once where it may help.
            on_sent: Called with the bytes so far and in all, every 5 %; may raise to stop.

        Returns:
            How the server calls the volume.

        Raises:
            ImageError: If there is no such file.
            RemoteError: If it cannot be sent; `no_volume` if it was to be there and is not.
        """
        if not request.array:
            return self._kept(request.key, again)
        path = resolve_in_folder(self._folder, request.array)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            size = path.stat().st_size
        except OSError as error:
            raise ImageError(f"There is no array file '{request.array}' in the host's folder.") from error
        place = [("modality", request.modality), *(("affine", repr(value)) for row in request.affine for value in row)]
        query = urllib.parse.urlencode(place)
        content = hashlib.sha256(digest + query.encode()).digest()
        if (found := self._found(request.key, content, again)) is not None:
            return found
        for key in {request.key, *self.keys[: 1 - _KEPT]}:
            self.forget(key)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        }

        def send() -> dict[str, Any]:
            with path.open("rb") as file:
                body = _Counted(file, size, on_sent)
                return self._connection.call("POST", f"/volumes?{query}", body=body, headers=headers)  # type: ignore[arg-type]

        return self._remember(request.key, _Sent(str(again(send)["volume"]), content))

    def forget(self, key: str) -> None:
        """Remove a volume from the server; one that cannot be removed now expires there."""
        with self._lock:
            sent = self._sent.pop(key, None)
        if sent is not None:
            with suppress(RemoteError):
                self._connection.call("DELETE", f"/volumes/{sent.id}")

    def close(self) -> None:
        """Remove all volumes from the server, also one that is being sent now."""
        with self._lock:
            self._closed = True
        for key in self.keys:
            self.forget(key)

    def _found(self, key: str, content: bytes, again: Callable[[_Call], dict[str, Any]]) -> str | None:
        """Return the id of this very volume if the server still has it; asking counts as use there."""
        with self._lock:
            sent = self._sent.get(key)
        if sent is None or sent.digest != content:
            return None
        try:
            return self._kept(key, again)
        except RemoteError as error:
            if error.code != "no_volume":
                raise
            return None

    def _kept(self, key: str, again: Callable[[_Call], dict[str, Any]]) -> str:
        """Return the id of a volume that was sent, if the server still has it; asking counts as use there."""
        volume_id = self.id_of(key)
        again(lambda: self._connection.call("GET", f"/volumes/{volume_id}"))
        with self._lock:
            sent = self._sent.pop(key, None)
        if sent is None:  # meanwhile removed by another thread
            raise RemoteError("The volume was not sent (any more).", code="no_volume", hint="Send it again.")
        return self._remember(key, sent)

    def _remember(self, key: str, sent: _Sent) -> str:
        with self._lock:
            self._sent[key] = sent
            closed = self._closed
        if closed:  # meanwhile, when this volume was not known yet
            self.forget(key)
            raise RemoteError("The connection was closed.", code="worker.closed")
        return sent.id


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, file: Any, size: int, on_read: Callable[[int, int], None]) -> None:
        self._file = file
        self._size = size
        self._done = 0
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        before, self._done = self._done, self._done + len(data)
        if self._done * 20 // self._size > before * 20 // self._size:  # every 5 %
            self._on_read(self._done, self._size)
        return data
