"""Reuse of freed memory between layers, where the C library supports it."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# `mallopt` parameters of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1
# Where glibc's own thresholds end up in a process that has freed large blocks; it stops moving them once they were set.
_USUAL_MMAP_BYTES = 32 * 2**20


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Let glibc keep large blocks inside the `with` block, and give everything free back to the system at its end.

    By default each feature map is mapped anew, and the system fills its pages with zeros one fault at a time: a sixth
    of the CPU time of an encoding. On other systems nothing happens.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _USUAL_MMAP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _USUAL_MMAP_BYTES)
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    # musl has neither.
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
