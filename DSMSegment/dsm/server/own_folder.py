"""Private temporary folder for voxels, removed when its process ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsm.errors import OutputError
from dsm.io.folder_lock import LOCK_FILE, folder_lock

_PREFIX = "dsm-serve-"


@contextmanager
def own_folder(parent: Path | None) -> Iterator[Path]:
    """Create the folder, and remove it at the end of the block.

    Folders that killed processes left in the same place are removed, too.

    Args:
        parent: Parent folder; None for the system's temporary folder.

    Raises:
        OutputError: If it cannot be made there.
    """
    try:
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        what = f"{parent or tempfile.gettempdir()} cannot be written to ({error.strerror})."
        raise OutputError(what, hint="Choose another --folder.") from error
    try:
        with folder_lock(own):
            _remove_orphans(own)
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _remove_orphans(own: Path) -> None:
    for other in own.parent.glob(f"{_PREFIX}*"):
        # Somebody who lives holds the lock; another user's folder cannot be opened.
        with suppress(OSError, OutputError):
            if other != own and (other / LOCK_FILE).exists():
                with folder_lock(other):
                    shutil.rmtree(other, ignore_errors=True)
