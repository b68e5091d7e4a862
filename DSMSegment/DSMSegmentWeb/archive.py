"""Safe extraction of an uploaded zip: of a DICOM series, or of the results of one scan."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsm.errors import ImageError
from dsm.io.formats import SEG_NRRD
from dsm.io.free_space import free_bytes

#: A series of 5000 slices, unpacked.
MAX_UNPACKED_BYTES = 4 << 30
MAX_FILES = 20_000

# 100 bytes an entry are common, 400 are long names.
_MAX_DIRECTORY_BYTES = 400 * MAX_FILES
_END_RECORD = b"PK\x05\x06"
_ZIP64_LOCATOR = b"PK\x06\x07"
_END_BYTES = (1 << 16) + 64
_CHUNK_BYTES = 1 << 20


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_UNPACKED_BYTES, max_files: int = MAX_FILES) -> None:
    """Extract the files of a zip into one folder under generated names: 00000, 00001...

    So no name in the zip can lead out of the folder, and series that were exported into many folders are read as one.

    Args:
        archive: The zip.
        folder: An empty one.
        max_bytes: Of all files together. They are counted while they are unpacked: a zip may lie about its sizes.
        max_files: Largest number of files.

    Raises:
        ImageError: If it is no zip, damaged or encrypted, or holds more than is allowed.
    """
    with _opened(archive, max_files) as (packed, entries):
        room = min(max_bytes, free_bytes(folder) // 2)
        for number, entry in enumerate(entries):
            room -= _unpack_one(packed, entry, folder / f"{number:05}", room)
            if room < 0:
                raise _too_much(archive, f"more than {max_bytes / (1 << 20):.0f} MiB")


def unpack_segments(archive: Path, folder: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> Path | None:
    """Extract the `.seg.nrrd` of a zip that holds one, as that of *Download all* does, as `segments.seg.nrrd`.

    Args:
        archive: The zip.
        folder: An empty one.
        max_bytes: Of the file.

    Returns:
        The file; None where there is none, or more than one.

    Raises:
        ImageError: As `unpack`.
    """
    with _opened(archive, MAX_FILES) as (packed, entries):
        found = [entry for entry in entries if entry.filename.lower().endswith(SEG_NRRD.suffix)]
        if len(found) != 1:
            return None
        path = folder / f"segments{SEG_NRRD.suffix}"
        room = min(max_bytes, free_bytes(folder) // 2)
        if _unpack_one(packed, found[0], path, room) > room:
            raise _too_much(archive, f"more than {max_bytes / (1 << 20):.0f} MiB")
        return path


@contextmanager
def _opened(archive: Path, max_files: int) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """Open a zip, with the entries of its files; errors while it is open are those of `unpack`."""
    _check_directory(archive)
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            if len(entries) > max_files:
                raise _too_much(archive, f"{len(entries)} files; the limit is {max_files}")
            yield packed, entries
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: encrypted. NotImplementedError: a compression that Python does not know.
        raise ImageError(
            f"{archive.name} is no zip that can be unpacked ({error}).",
            code="bad_image.zip",
            hint="Zip the folder again without a password, or open the folder itself.",
        ) from error


def _unpack_one(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, room: int) -> int:
    """Extract at most `room` bytes and one more chunk; returns the number of extracted bytes."""
    size = 0
    with packed.open(entry) as source, path.open("xb") as target:
        while size <= room and (chunk := source.read(_CHUNK_BYTES)):
            size += len(chunk)
            target.write(chunk)
    return size


def _check_directory(archive: Path) -> None:
    """Refuse a zip whose directory alone would fill the memory; `zipfile` reads it as a whole."""
    with archive.open("rb") as stream:
        stream.seek(max(0, archive.stat().st_size - _END_BYTES))
        tail = stream.read()
    end = tail.rfind(_END_RECORD)
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if directory_bytes > _MAX_DIRECTORY_BYTES or _ZIP64_LOCATOR in tail[max(0, end - 20) : end]:
        raise _too_much(archive, "more files than a series has")


def _too_much(archive: Path, what: str) -> ImageError:
    return ImageError(
        f"{archive.name} holds {what}.",
        code="bad_image.too_large",
        hint="Zip one series alone, or start the server with the path of its folder.",
    )
