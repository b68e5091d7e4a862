"""NIfTI files: voxels in, images out.

SimpleITK decides where a NIfTI image lies (`dsm.io.image`), as in Slicer. Its voxels are read here, because SimpleITK
returns a file that was cut off as an image with an empty rest, without an error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dsm.core.boxes import CroppedArray, Index3
from dsm.errors import GeometryError, ImageError, OutputError, ShapeError
from dsm.io.compression import GZIP_ERRORS, GZIP_MAGIC, gzip_into, open_gzip

_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_CODES = {np.dtype(dtype).newbyteorder("="): code for code, dtype in _DTYPES.items()}
_NOT_REAL = {32, 128, 1536, 1792, 2048, 2304}  # complex, RGB, 128-bit floats, RGBA

_NIFTI1_BYTES = 348
_NIFTI2_BYTES = 540
_MAX_EDGE = 32767  # dim is int16 in NIfTI-1
_MAX_OFFSET = 1 << 26  # header extensions take kilobytes; a bomb could hide behind a far offset
_HEADER_BYTES = _NIFTI1_BYTES + 4  # four zero bytes: no extensions
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_LABEL = 1002  # NIFTI_INTENT_LABEL
_MILLIMETRES = 2


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What of a header is needed to read the voxels.

    Args:
        dtype: Of the stored values, with their byte order.
        offset: Where they begin in the uncompressed file.
        slope: What they are multiplied with; 0 for an image that is not scaled.
        intercept: What is added then.
    """

    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float

    @classmethod
    def read(cls, path: Path) -> NiftiHeader:
        """Read and check the header of a `.nii` or `.nii.gz` file, NIfTI-1.

        Raises:
            ImageError: If the file is not NIfTI, cut off, or its header damaged.
            ShapeError: If its voxels are not real numbers.
            GeometryError: If its sform is not finite.
        """
        with _open(path) as stream:
            try:
                header = stream.read(_NIFTI1_BYTES)
            except GZIP_ERRORS as error:
                raise _damaged(path, error) from error
        for order in "<>":
            if header.startswith(struct.pack(order + "i", _NIFTI1_BYTES)) and len(header) >= _NIFTI1_BYTES:
                return cls._checked(
                    path,
                    dims=struct.unpack_from(order + "8h", header, 40),
                    dtype_code=struct.unpack_from(order + "h", header, 70)[0],
                    order=order,
                    data=struct.unpack_from(order + "3f", header, 108),
                    sform_code=struct.unpack_from(order + "h", header, 254)[0],
                    sform=struct.unpack_from(order + "12f", header, 280),
                )
            if header.startswith(struct.pack(order + "i", _NIFTI2_BYTES)):
                # SimpleITK cannot say where it lies, and Slicer cannot open it either.
                raise ImageError(
                    f"{path} is in NIfTI version 2.", code="bad_image.format", hint="Convert it to NIfTI-1 or NRRD."
                )
        raise ImageError(
            f"{path} is not a NIfTI file.", code="bad_image.format", hint="Check what it is; its name says NIfTI."
        )

    @classmethod
    def _checked(
        cls,
        path: Path,
        *,
        dims: tuple[int, ...],
        dtype_code: int,
        order: str,
        data: tuple[float, float, float],
        sform_code: int,
        sform: tuple[float, ...],
    ) -> NiftiHeader:
        offset, slope, intercept = data
        if dtype_code in _NOT_REAL:
            raise ShapeError(
                f"{path} does not hold real numbers (NIfTI datatype {dtype_code}).",
                code="input.dtype",
                hint="Convert colour or complex images to one scalar channel.",
            )
        num_axes = dims[0]
        is_sane = 1 <= num_axes <= 7 and min(dims[1 : num_axes + 1]) >= 1 and 0 <= offset <= _MAX_OFFSET
        if not is_sane or dtype_code not in _DTYPES or not np.isfinite((slope, intercept)).all():
            raise ImageError(f"{path} has a damaged header.", code="bad_image.damaged", hint="Copy or export it again.")
        if sform_code > 0 and not np.isfinite(sform).all():
            raise GeometryError(f"{path} has an affine that is not finite.", code="geometry.affine")
        # A smaller offset is a writer that left it out.
        offset = max(int(offset), _NIFTI1_BYTES)
        return cls(np.dtype(order + _DTYPES[dtype_code]), offset, slope, intercept)


def read_nifti_voxels(path: Path, header: NiftiHeader, shape: Index3) -> np.ndarray:
    """Read the voxels of a single-file NIfTI image, plain or gzipped.

    Args:
        path: A `.nii` or `.nii.gz` file.
        header: Of this file.
        shape: `(I, J, K)` that is expected, from the geometry.

    Returns:
        `[I, J, K]` with `i` fastest in memory; float32 where the header scales (float64 stays), else the stored dtype.

    Raises:
        ImageError: If the file is cut off or damaged.
    """
    array: np.ndarray = np.empty(shape, dtype=header.dtype, order="F")
    with _open(path) as stream:
        try:
            stream.seek(header.offset)
            _read_exactly(stream, array.reshape(-1, order="F").view(np.uint8).data)
            # Reading past the end makes the decompressor compare the checksum.
            stream.read(1)
        except GZIP_ERRORS as error:
            raise _damaged(path, error) from error
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if header.slope == 0 or (header.slope == 1 and header.intercept == 0):
        return native
    real = np.float64 if native.dtype == np.float64 else np.float32
    values: np.ndarray = np.multiply(native, header.slope, dtype=real)
    np.add(values, header.intercept, out=values, dtype=real)
    return values


def write_nifti(path: Path, crop: CroppedArray, shape: Index3, affine: np.ndarray, *, is_label: bool = False) -> None:
    """Write a `.nii.gz` on a full grid from what is stored inside a box.

    One slice is in memory at a time, so that a map costs its box and not the grid.

    Args:
        path: The file; see `dsm.io.atomic` for writing it whole or not at all.
        crop: Values inside their box; float16 is stored as float32.
        shape: `(I, J, K)` of the grid.
        affine: `(4, 4)` to RAS millimetres; NIfTI stores it in float32.
        is_label: Mark the values as labels, which viewers then show without interpolation.

    Raises:
        OutputError: If an axis has more than 32767 voxels, which NIfTI-1 cannot hold.
    """
    dtype = np.dtype(np.float32) if crop.array.dtype == np.float16 else crop.array.dtype
    if max(shape) > _MAX_EDGE:
        raise OutputError(f"NIfTI cannot hold {max(shape)} voxels along an axis.", hint="Write .seg.nrrd instead.")
    with path.open("wb") as stream, gzip_into(stream) as compressed:
        compressed.write(_header(shape, dtype, affine, is_label=is_label))
        box = crop.box
        rows, columns, _ = box.slices
        plane = np.zeros(shape[:2], dtype=dtype, order="F")
        empty = plane.tobytes()
        for k in range(shape[2]):
            if not box.start[2] <= k < box.stop[2]:
                compressed.write(empty)
                continue
            plane[rows, columns] = crop.array[:, :, k - box.start[2]]
            compressed.write(plane.tobytes(order="F"))


def _open(path: Path) -> BinaryIO:
    """Open the file by its content: a plain file that is named `.nii.gz` is read too."""
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == GZIP_MAGIC
    return open_gzip(path) if is_gzip else path.open("rb")


def _damaged(path: Path, error: Exception) -> ImageError:
    return ImageError(
        f"{path} is cut off or damaged.",
        code="bad_image.damaged",
        hint="Copy or export it again.",
        details=str(error),
    )


def _read_exactly(stream: BinaryIO, buffer: memoryview) -> None:
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done:])  # type: ignore[attr-defined]  # every binary stream has it
        if not count:
            raise EOFError(f"{done} of {len(buffer)} bytes")
        done += count


def _header(shape: Index3, dtype: np.dtype[np.generic], affine: np.ndarray, *, is_label: bool) -> bytes:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    b, c, d, handedness = _quaternion(affine[:3, :3] / spacing)
    return struct.pack(
        "<i35xB8h3f4h8f3fhBB4f2i80s24s2h6f12f16s4s4x",
        _NIFTI1_BYTES,
        0,
        *(3, *shape, 1, 1, 1, 1),
        *(0, 0, 0),
        *(_LABEL if is_label else 0, _CODES[dtype.newbyteorder("=")], dtype.itemsize * 8, 0),
        *(handedness, *spacing, 0, 0, 0, 0),
        *(_HEADER_BYTES, 1, 0),
        *(0, 0, _MILLIMETRES),
        *(0, 0, 0, 0),
        *(0, 0),
        b"DSMSegment",
        b"",
        *(_SCANNER, _SCANNER),
        *(b, c, d, *affine[:3, 3]),
        *affine[:3].ravel(),
        b"",
        b"n+1\0",
    )


def _quaternion(directions: np.ndarray) -> tuple[float, float, float, float]:
    """Return `b, c, d` of the unit quaternion with `a >= 0`, and the handedness, as NIfTI's qform stores them."""
    # The nearest rotation, because headers carry rounding errors.
    left, _, right = np.linalg.svd(directions)
    rotation = left @ right
    handedness = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    rotation[:, 2] *= handedness
    # The eigenvector of the largest eigenvalue (Bar-Itzhack 2000) is stable for every rotation, half turns included.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    a, b, c, d = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return sign * b, sign * c, sign * d, handedness
