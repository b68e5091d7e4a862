"""Exclusive lock of a folder, released by the system when its holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dsm.errors import OutputError

LOCK_FILE = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` during the block.

    Raises:
        OutputError: If another process holds it (`output.busy`).
    """
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OutputError(
            f"Another run is at work in {folder}.", code="output.busy", hint="Wait for it or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
