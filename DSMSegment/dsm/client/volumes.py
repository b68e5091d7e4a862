"""Volumes of a client on a server: sent once, kept while in use, removed at the end."""

from __future__ import annotations

import base64
import hashlib
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dsm.client.connection import Connection
from dsm.errors import RemoteError
from dsm.wire.arrays import npy_parts
from dsm.wire.messages import KEPT_VOLUMES, SetVolume

_CHUNK_BYTES = 2**20

_Call: TypeAlias = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Sent:
    """Id of a volume on the server, and a hash of its content."""

    id: str
    digest: bytes


class RemoteVolumes:
    """Volumes on a server by the keys of the host; thread-safe.

    Args:
        connection: To the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._sent: dict[str, _Sent] = {}  # the last one is the newest
        self._closed = False

    @property
    def keys(self) -> list[str]:
        """Keys of the volumes, least recently used first."""
        with self._lock:
            return list(self._sent)

    def id_of(self, key: str) -> str:
        """Return the server's id of a volume.

        Raises:
            RemoteError: If it was not sent, or is gone.
        """
        with self._lock:
            sent = self._sent.get(key)
        if sent is None:
            raise RemoteError("The volume was not sent (any more).", code="no_volume", hint="Send it again.")
        return sent.id

    def put(
        self,
        request: SetVolume,
        array: np.ndarray | None,
        *,
        retry: Callable[[_Call], dict[str, Any]],
        on_progress: Callable[[int, int], None],
    ) -> str:
        """Send a volume, unless the server has it, and remove the oldest beyond two.

        Args:
            request: Geometry of the volume. Its display name is not sent.
            array: The voxels; None where the volume must have been sent under its key.
            retry: Runs the upload, and repeats it where it may help.
            on_progress: Called with the bytes so far and in all, every 5 %; may raise to stop.

        Returns:
            The server's id of the volume.

        Raises:
            ImageError: If the voxels are no numbers.
            RemoteError: If it cannot be sent; `no_volume` if it was to be there and is not.
        """
        if array is None:
            return self._kept(request.key, retry)
        header, voxels = npy_parts(array)
        size = len(header) + len(voxels)
        whole = hashlib.sha256(header)
        whole.update(voxels)
        digest = whole.digest()
        place = [("modality", request.modality), *(("affine", repr(value)) for row in request.affine for value in row)]
        query = urllib.parse.urlencode(place)
        content = hashlib.sha256(digest + query.encode()).digest()
        if (found := self._found(request.key, content, retry)) is not None:
            return found
        for key in {request.key, *self.keys[: 1 - KEPT_VOLUMES]}:
            self.forget(key)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        }

        def send() -> dict[str, Any]:
            body = _chunks((header, voxels), size, on_progress)
            return self._connection.call("POST", f"/volumes?{query}", body=body, headers=headers)

        return self._remember(request.key, _Sent(str(retry(send)["volume"]), content))

    def forget(self, key: str) -> None:
        """Remove a volume from the server; if that fails, it expires there."""
        with self._lock:
            sent = self._sent.pop(key, None)
        if sent is not None:
            with suppress(RemoteError):
                self._connection.call("DELETE", f"/volumes/{sent.id}")

    def close(self) -> None:
        """Remove all volumes from the server, including one that is being sent."""
        with self._lock:
            self._closed = True
        for key in self.keys:
            self.forget(key)

    def _found(self, key: str, content: bytes, retry: Callable[[_Call], dict[str, Any]]) -> str | None:
        """Return the id of a volume of equal content if the server still has it; the request counts as use."""
        with self._lock:
            sent = self._sent.get(key)
        if sent is None or sent.digest != content:
            return None
        try:
            return self._kept(key, retry)
        except RemoteError as error:
            if error.code != "no_volume":
                raise
            return None

    def _kept(self, key: str, retry: Callable[[_Call], dict[str, Any]]) -> str:
        """Return the id of a volume that was sent, if the server still has it; the request counts as use."""
        volume_id = self.id_of(key)
        retry(lambda: self._connection.call("GET", f"/volumes/{volume_id}"))
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


def _chunks(
    parts: Iterable[bytes | memoryview], size: int, on_progress: Callable[[int, int], None]
) -> Iterator[bytes | memoryview]:
    """Yield the parts in chunks, and report progress every 5 %."""
    done = 0
    for part in parts:
        for start in range(0, len(part), _CHUNK_BYTES):
            chunk = part[start : start + _CHUNK_BYTES]
            yield chunk
            before, done = done, done + len(chunk)
            if done * 20 // size > before * 20 // size:
                on_progress(done, size)
