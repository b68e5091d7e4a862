"""Uploaded volumes, stored as files until they expire."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np

from dsm.core.volume import Volume
from dsm.errors import GeometryError, InputError, ServerError
from dsm.server.http_errors import not_found
from dsm.server.limits import Limits
from dsm.wire.arrays import array_header
from dsm.wire.messages import Affine

_MAX_VOXELS = 2**31


@dataclass(eq=False)
class StoredVolume:
    """A `.npy` file and its metadata."""

    id: str
    user: str
    path: Path
    num_bytes: int
    shape: tuple[int, ...]
    affine: Affine
    modality: str
    last_used: float
    pins: int = 0
    replaceable: bool = False


class VolumeStore:
    """Store of all volumes; thread-safe.

    Args:
        folder: Folder of the files, not shared.
        limits: For each user.
        clock: Monotonic clock in s.
    """

    def __init__(self, folder: Path, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._volumes: dict[str, StoredVolume] = {}
        self._arriving: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._volumes)

    async def receive(
        self,
        user: str,
        chunks: AsyncIterator[bytes],
        *,
        num_bytes: int,
        sha256: bytes,
        affine: Affine,
        modality: str,
    ) -> StoredVolume:
        """Take an upload: a `.npy` file of `num_bytes` with that SHA-256.

        Raises:
            ServerError: If the user has too much already, it is too large, cut off, another one than announced, or the
                disk is full.
            InputError: If it is no array of three axes, or the affine is no affine.
        """
        _check_affine(affine)
        with self._reserved(user, num_bytes):
            name = f"v{secrets.token_hex(16)}"
            part = self._folder / f"{name}.part"
            try:
                await self._write(part, chunks, num_bytes, sha256)
                shape = _checked_shape(self._folder, part.name)
                path = part.replace(self._folder / f"{name}.npy")
            except BaseException:  # also when the connection broke
                part.unlink(missing_ok=True)
                raise
            volume = StoredVolume(name, user, path, num_bytes, shape, affine, modality, self._clock())
            with self._lock:
                self._volumes[name] = volume
        return volume

    @contextmanager
    def added(self, user: str, volume: Volume) -> Iterator[StoredVolume]:
        """Store a volume that was read here, and keep it at least until the end of the block.

        Volumes of this kind that the user has not used for longest make room for it: they can be read again.

        Raises:
            ServerError: If the user has too much already, it is too large, or the disk is full.
        """
        name = f"v{secrets.token_hex(16)}"
        path = self._folder / f"{name}.npy"
        num_bytes = int(volume.array.nbytes)
        self._make_room(user, num_bytes)
        with self._reserved(user, num_bytes):
            try:
                np.save(path, volume.array)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise _disk_full(error) from error
            affine: Affine = tuple(map(tuple, volume.affine.tolist()))  # type: ignore[assignment]  # four of four
            stored = StoredVolume(
                id=name,
                user=user,
                path=path,
                num_bytes=num_bytes,
                shape=volume.shape,
                affine=affine,
                modality=volume.modality,
                last_used=self._clock(),
                pins=1,
                replaceable=True,
            )
            with self._lock:
                self._volumes[name] = stored
        with self._unpinned_after(stored):
            yield stored

    def _make_room(self, user: str, num_bytes: int) -> None:
        """Remove replaceable volumes of a user, the least recently used first, until another one fits."""
        while True:
            with self._lock:
                own = [volume for volume in self._volumes.values() if volume.user == user]
                arriving = self._arriving.get(user, [])
                fits = len(own) + len(arriving) < self._limits.volumes_per_user and (
                    sum(volume.num_bytes for volume in own) + sum(arriving) + num_bytes <= self._limits.bytes_per_user
                )
                old = [volume for volume in own if volume.replaceable and not volume.pins]
                if fits or not old:
                    return
                oldest = min(old, key=lambda volume: volume.last_used)
                del self._volumes[oldest.id]
            oldest.path.unlink(missing_ok=True)

    def get(self, user: str, volume_id: str) -> StoredVolume:
        """Return a volume of this user and count it as used.

        Raises:
            ServerError: If there is none.
        """
        with self._lock:
            volume = self._volumes.get(volume_id)
            if volume is None or volume.user != user:
                raise not_found("volume")
            volume.last_used = self._clock()
            return volume

    @contextmanager
    def pinned(self, volume_id: str) -> Iterator[StoredVolume]:
        """Keep a volume while a job works on it.

        Raises:
            ServerError: If it is gone.
        """
        with self._lock:
            volume = self._volumes.get(volume_id)
            if volume is None:
                raise not_found("volume")
            volume.pins += 1
        with self._unpinned_after(volume):
            yield volume

    @contextmanager
    def _unpinned_after(self, volume: StoredVolume) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                volume.pins -= 1
                volume.last_used = self._clock()

    def remove(self, user: str, volume_id: str) -> None:
        """Remove a volume of this user; a job that works on it keeps its own link to the file.

        Raises:
            ServerError: If there is none.
        """
        volume = self.get(user, volume_id)
        with self._lock:
            self._volumes.pop(volume.id, None)
        volume.path.unlink(missing_ok=True)

    def expire(self) -> list[str]:
        """Remove expired volumes, and return their ids."""
        horizon = self._clock() - self._limits.volume_idle_s
        with self._lock:
            old = [volume for volume in self._volumes.values() if not volume.pins and volume.last_used < horizon]
            for volume in old:
                del self._volumes[volume.id]
        for volume in old:
            volume.path.unlink(missing_ok=True)
        return [volume.id for volume in old]

    @contextmanager
    def _reserved(self, user: str, num_bytes: int) -> Iterator[None]:
        """Count an upload against the quota while it arrives, so that many at once cannot go beyond it."""
        if num_bytes > self._limits.upload_bytes:
            raise ServerError(
                f"The volume has {num_bytes} bytes; at most {self._limits.upload_bytes} are taken.",
                code="upload.too_large",
                hint="Crop the volume.",
            )
        with self._lock:
            sizes = [volume.num_bytes for volume in self._volumes.values() if volume.user == user]
            sizes += self._arriving.get(user, [])
            too_many = len(sizes) >= self._limits.volumes_per_user
            if too_many or sum(sizes) + num_bytes > self._limits.bytes_per_user:
                raise ServerError(
                    f"You have {len(sizes)} volumes of {sum(sizes) / 1e6:.0f} MB on the server, which is the most.",
                    code="quota",
                    hint="Remove one, or wait until those that are not used expire.",
                )
            self._arriving.setdefault(user, []).append(num_bytes)
        try:
            yield
        finally:
            with self._lock:
                self._arriving[user].remove(num_bytes)
                if not self._arriving[user]:
                    del self._arriving[user]

    async def _write(self, part: Path, chunks: AsyncIterator[bytes], num_bytes: int, sha256: bytes) -> None:
        digest = hashlib.sha256()
        received = 0
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            iterator = aiter(chunks)
            while True:
                try:
                    with anyio.fail_after(self._limits.upload_idle_s):
                        chunk = await anext(iterator, b"")
                except TimeoutError as error:
                    raise _truncated(received, num_bytes) from error
                if not chunk and received >= num_bytes:
                    break
                if not chunk:
                    raise _truncated(received, num_bytes)
                received += len(chunk)
                if received > num_bytes:
                    raise ServerError("The upload is longer than announced.", code="upload.checksum")
                digest.update(chunk)
                await anyio.to_thread.run_sync(_write_all, descriptor, chunk)
                if received == num_bytes:
                    break
        except OSError as error:
            raise _disk_full(error) from error
        finally:
            os.close(descriptor)
        if digest.digest() != sha256:
            raise ServerError("The upload was damaged on its way.", code="upload.checksum", hint="Send it again.")


def _disk_full(error: OSError) -> ServerError:
    return ServerError(
        f"The server cannot store the volume ({error.strerror}).",
        code="disk_full",
        hint="Try later, or ask the server's operator.",
    )


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _truncated(received: int, num_bytes: int) -> ServerError:
    return ServerError(
        f"The upload broke off after {received} of {num_bytes} bytes.", code="upload.truncated", hint="Send it again."
    )


def _checked_shape(folder: Path, name: str) -> tuple[int, ...]:
    shape, dtype = array_header(folder, name)
    if len(shape) != 3 or min(shape) < 2 or dtype.kind not in "biuf":
        raise InputError(
            f"A volume has three axes of at least 2 real numbers; this one is {shape} of {dtype}.", code="input.axes"
        )
    if int(np.prod(shape, dtype=object)) > _MAX_VOXELS:
        raise InputError(f"The volume has more than {_MAX_VOXELS} voxels.", code="input.shape", hint="Crop it.")
    return shape


def _check_affine(affine: Affine) -> None:
    matrix = np.asarray(affine, float)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise GeometryError("The affine must be finite, with a spacing above zero.", code="geometry.affine")
