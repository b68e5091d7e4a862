"""Free space of the disk that holds a folder, also of a share of Windows."""

from __future__ import annotations

import os
import shutil


def free_bytes(folder: str | os.PathLike[str]) -> int:
    """Return how many bytes can be written in an existing folder.

    Raises:
        OSError: If the system does not say.
    """
    # Windows wants the name of a share with a separator at its end, and takes every other folder with one.
    return shutil.disk_usage(os.path.join(os.fspath(folder), "")).free  # noqa: PTH118  (a Path drops it)
