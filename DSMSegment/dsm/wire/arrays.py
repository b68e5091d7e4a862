"""Voxels as files in a folder that the host owns: arrays as `.npy`, masks as packed bits in zlib."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dsm.errors import ImageError, ProtocolError

# Suffixes of the files of a result, after `PromptItem.file`.
MASK_SUFFIX = ".mask"
PROBABILITY_SUFFIX = ".probability.npy"
UNCERTAINTY_SUFFIX = ".uncertainty.npy"

# One plain name: no separators, drives, streams, control characters or leading dot on any platform.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_ZLIB_LEVEL = 1  # masks are long runs: level 6 is four times slower and 10 % smaller


def resolve_in_folder(folder: Path, name: str) -> Path:
    """Return the path of file `name` directly in `folder`.

    Raises:
        ProtocolError: Code `"protocol.path"`, if `name` is not one plain file name or is a link out of the folder.
    """
    path = folder / name if _FILE_NAME.fullmatch(name) else None
    if path is None or path.is_symlink():
        raise ProtocolError(
            f"'{name[:80]}' is not the name of a file in the host's folder.",
            code="protocol.path",
            hint="Give a plain file name of letters, digits, dots, dashes and underscores.",
        )
    return path


def write_array(folder: Path, name: str, array: np.ndarray) -> None:
    """Write `array` as `.npy` of its own memory order; the file appears complete or not at all.

    Raises:
        ProtocolError: If `name` leads out of `folder`.
        OSError: If the file cannot be written.
    """
    header, voxels = npy_parts(array)
    with _whole_file(resolve_in_folder(folder, name)) as file:
        # Not NumPy's own writing, whose error on a full disk does not say that it is full.
        file.write(header)
        file.write(voxels)


def npy_parts(array: np.ndarray) -> tuple[bytes, memoryview]:
    """Return header and voxels of `array` in the `.npy` format; a contiguous array is not copied."""
    if array.dtype.hasobject:
        raise ImageError(f"The array has the type {array.dtype}; numbers are needed.")
    fields = np.lib.format.header_data_from_array_1_0(array)
    whole = np.ascontiguousarray(array.T if fields["fortran_order"] else array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue(), whole.reshape(-1).view(np.uint8).data


def read_array(folder: Path, name: str) -> np.ndarray:
    """Read an array of `write_array`; a file of another format or length is refused before memory is allocated.

    Returns:
        The array, writable, in the memory order of the file.

    Raises:
        ProtocolError: If `name` leads out of `folder`.
        ImageError: If the file is missing, damaged, truncated or holds Python objects.
    """
    path = resolve_in_folder(folder, name)
    if not path.is_file():
        raise ImageError(f"There is no array file '{name}' in the host's folder.")
    try:
        with path.open("rb") as file:
            shape, column_major, dtype = _read_header(file, name)
            count = math.prod(shape)
            _check_length(file, name, count * dtype.itemsize)
            flat = np.fromfile(file, dtype=dtype, count=count)
    except OSError as error:
        raise ImageError(f"The array file '{name}' cannot be read ({error.strerror}).") from error
    return _shaped(flat, shape, dtype, column_major=column_major)


def array_of(data: bytes) -> np.ndarray:
    """Decode the bytes of a `.npy` file to a writable array; raises as `read_array`."""
    file = io.BytesIO(data)
    shape, column_major, dtype = _read_header(file, "map")
    rest = bytearray(file.read())
    if len(rest) != math.prod(shape) * dtype.itemsize:
        raise ImageError("The array does not have the length that its header says.")
    return _shaped(np.frombuffer(rest, dtype), shape, dtype, column_major=column_major)


def _shaped(flat: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, *, column_major: bool) -> np.ndarray:
    # Native bytes: PyTorch knows no others.
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if column_major else "C")


def array_header(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of an array file without reading the voxels; raises as `read_array`."""
    path = resolve_in_folder(folder, name)
    try:
        with path.open("rb") as file:
            shape, _, dtype = _read_header(file, name)
            _check_length(file, name, math.prod(shape) * dtype.itemsize)
    except OSError as error:
        raise ImageError(f"The array file '{name}' cannot be read ({error.strerror}).") from error
    return shape, dtype


def content_key(array: np.ndarray, affine: Sequence[Sequence[float]], modality: str) -> str:
    """Return a hash of the voxels, their type and memory order, the affine and the modality."""
    column_major = array.flags.f_contiguous and not array.flags.c_contiguous
    head = (array.shape, array.dtype.str, column_major, modality, [[float(x) for x in row] for row in affine])
    digest = hashlib.sha256(repr(head).encode())  # in hardware on processors of today, unlike BLAKE2
    digest.update(np.ascontiguousarray(array.T if column_major else array).data)
    return digest.hexdigest()[:32]


def pack_mask(mask: np.ndarray) -> bytes:
    """Return the bits of `mask` (non-zero is inside), C order, packed and compressed by zlib."""
    return zlib.compress(np.packbits(np.ascontiguousarray(mask) != 0).tobytes(), _ZLIB_LEVEL)


def unpack_mask(data: bytes, size: Sequence[int]) -> np.ndarray:
    """Return the mask of `size` `(i, j, k)` as uint8 of 0 and 1; an empty mask may have no bytes at all.

    Raises:
        ProtocolError: If `data` is damaged or holds another number of voxels.
    """
    count = math.prod(size)
    if min(size) < 0:
        raise ProtocolError(f"A mask cannot have the size {tuple(size)}.")
    if not data and count == 0:
        return np.zeros(tuple(size), np.uint8)
    num_bytes = -(-count // 8)
    try:
        stream = zlib.decompressobj()
        # One byte more than is needed, so that a longer stream (or a bomb) is seen and not unpacked.
        bits = stream.decompress(data, num_bytes + 1)
        whole = stream.eof or (num_bytes == 0 and not bits)
    except zlib.error as error:
        raise ProtocolError(f"The mask is damaged ({error}).") from error
    if len(bits) != num_bytes or not whole or stream.unused_data:
        raise ProtocolError(f"The mask does not hold {count} voxels.")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=count).reshape(size)


def write_mask(folder: Path, name: str, mask: np.ndarray) -> None:
    """Write `mask` as `pack_mask` packs it; the file appears complete or not at all.

    Raises:
        ProtocolError: If `name` leads out of `folder`.
        OSError: If the file cannot be written.
    """
    with _whole_file(resolve_in_folder(folder, name)) as file:
        file.write(pack_mask(mask))


def read_mask(folder: Path, name: str, size: Sequence[int]) -> np.ndarray:
    """Read a mask of `write_mask`; `size` is in the message. An empty mask has no file and size zero.

    Raises:
        ProtocolError: If the file is damaged or of another size.
        OSError: If it cannot be read.
    """
    if not name and math.prod(size) == 0:
        return np.zeros(tuple(size), np.uint8)
    return unpack_mask(resolve_in_folder(folder, name).read_bytes(), size)


def _check_length(file: BinaryIO, name: str, num_bytes: int) -> None:
    if os.fstat(file.fileno()).st_size - file.tell() != num_bytes:
        raise ImageError(f"The array file '{name}' does not have the length that its header says.")


def _read_header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # what NumPy writes unless the header has 64 kB or field names
            raise ValueError(f"version {version} is not supported")
        shape, column_major, dtype = np.lib.format.read_array_header_1_0(file)
        if min(shape, default=0) < 0:
            raise ValueError(f"the shape {shape} is impossible")
    # The header is a Python literal: what a damaged one raises depends on where the damage is (even a TokenError).
    except Exception as error:
        raise ImageError(f"The file '{name}' is not a .npy array ({str(error)[:200]}).") from error
    if dtype.kind not in "biuf":
        raise ImageError(f"The array in '{name}' has the type {dtype}; real numbers are needed.", code="input.dtype")
    return shape, column_major, dtype


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside `path`, which takes its name when all is written, or vanishes."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:  # "x": never through a link that somebody put there
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
