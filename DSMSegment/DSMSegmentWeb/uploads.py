"""Validation of uploads: names, sizes, and no references to other files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

from dsm.errors import ImageError
from DSMSegmentWeb.archive import MAX_FILES

#: A CT of 512 x 512 x 2000 voxels of 16 bits, uncompressed.
MAX_UPLOAD_BYTES = 1 << 30

#: Of the files that can be sent.
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".zip")
_MAX_NAME = 100
# A header ends well before this in files that scanners and programs write.
_HEADER_BYTES = 1 << 16
_NRRD_ELSEWHERE = re.compile(rb"^\s*data ?file\s*:", re.IGNORECASE | re.MULTILINE)
_MHA_DATA = re.compile(rb"^\s*ElementDataFile\s*=\s*(\S+)", re.MULTILINE)


def checked_name(name: str) -> str:
    """Return a safe file name for an upload.

    Raises:
        ImageError: If it is of no type that can be opened.
    """
    last = re.split(r"[/\\]", name)[-1]
    if not last.lower().endswith(SUFFIXES):
        raise ImageError(
            f"{last[:_MAX_NAME] or 'The file'} is of no type that can be opened.",
            code="bad_image.format",
            hint=f"Choose one file of type {', '.join(SUFFIXES)}.",
        )
    return re.sub(r"[^\w.-]+", "_", last)[-_MAX_NAME:]


async def receive(chunks: AsyncIterator[bytes], path: Path, *, max_bytes: int = MAX_UPLOAD_BYTES) -> None:
    """Write an upload to a file, up to a size limit.

    Raises:
        ImageError: If more than `max_bytes` arrive.
    """
    size = 0
    with path.open("wb") as stream:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise too_large(path.name, max_bytes)
            stream.write(chunk)


async def receive_folder(
    files: AsyncIterator[AsyncIterator[bytes]],
    folder: Path,
    *,
    max_bytes: int = MAX_UPLOAD_BYTES,
    max_files: int = MAX_FILES,
) -> None:
    """Write the files of a folder under generated names: 00000, 00001...

    Raises:
        ImageError: If there are more files or bytes than are allowed.
    """
    number, room = 0, max_bytes
    async for chunks in files:
        if number == max_files:
            raise ImageError(
                f"The folder holds more than {max_files} files.",
                code="bad_image.too_large",
                hint="Choose the folder of one series.",
            )
        path = folder / f"{number:05}"
        try:
            await receive(chunks, path, max_bytes=room)
        except ImageError as error:
            raise too_large("The folder", max_bytes) from error
        number, room = number + 1, room - path.stat().st_size


def too_large(name: str, max_bytes: int = MAX_UPLOAD_BYTES) -> ImageError:
    """Return the error for a file above the upload limit."""
    return ImageError(
        f"{name} is larger than {max_bytes / (1 << 20):.0f} MiB.",
        code="bad_image.too_large",
        hint="Compress it, crop it, or start the server with its path.",
    )


def check_self_contained(path: Path) -> None:
    """Refuse a header whose data is in another file: it could expose files of the server.

    Raises:
        ImageError: If the voxels are not in the file itself.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    if path.name.lower().endswith(".nrrd"):
        # An empty line ends the header; what follows are voxels.
        elsewhere = _NRRD_ELSEWHERE.search(re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0])
    elif path.name.lower().endswith(".mha"):
        named = _MHA_DATA.search(head)
        elsewhere = named if named and named[1] != b"LOCAL" else None
    else:
        return
    if elsewhere:
        raise ImageError(
            f"The voxels of {path.name} are in another file.",
            code="bad_image.detached",
            hint="Save it as one file: .nrrd, .mha or .nii.gz.",
        )
