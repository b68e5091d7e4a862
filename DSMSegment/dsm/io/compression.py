"""Gzip streams, fast where `isal` is installed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

_gzip: Any = gzip
_errors: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error)
try:
    from isal import igzip, isal_zlib
except (
    ImportError
):  # the extra "fast"; the standard library reads and writes the same files, about 2 and 5 times slower
    pass
else:
    _gzip = igzip
    _errors = (*_errors, cast(type[Exception], isal_zlib.error))

#: What reading a damaged or cut-off gzip stream raises.
GZIP_ERRORS = _errors

GZIP_MAGIC = b"\x1f\x8b"

# Deflate cannot shrink data further than this, so a header that promises more has lost data behind it.
MAX_GZIP_RATIO = 1032


def open_gzip(path: Path) -> BinaryIO:
    """Open a gzip file for reading."""
    return cast(BinaryIO, _gzip.open(path, "rb"))


@contextmanager
def gzip_into(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Compress data written to `stream`, at the fastest level: masks shrink a hundredfold at any level.

    No name and no time is stored, so that equal content makes equal bytes. `stream` stays open.
    """
    # Both classes take the same arguments; level 1 is "fastest" in both.
    writer = _gzip.GzipFile if _gzip is gzip else _gzip.IGzipFile
    with writer(filename="", mode="wb", compresslevel=1, fileobj=stream, mtime=0) as compressed:
        yield cast(BinaryIO, compressed)
