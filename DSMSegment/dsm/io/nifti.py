"""NIfTI input and output.

SimpleITK is not used: it returns a file that was cut off as an image with an empty rest, takes voxel sizes from a field
that may contradict the affine, and gives no access to both of the forms that place the image.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dsm.core.boxes import CroppedArray, Index3
from dsm.core.input_note import InputNote
from dsm.core.nifti_geometry import NiftiGeometry
from dsm.errors import ImageError, OutputError, ShapeError
from dsm.io.compression import GZIP_ERRORS, GZIP_MAGIC, gzip_into, open_gzip

_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_CODES = {np.dtype(dtype).newbyteorder("="): code for code, dtype in _DTYPES.items()}
_NOT_REAL = {32, 128, 1536, 1792, 2048, 2304}  # complex, RGB, 128-bit floats, RGBA

_NIFTI1_BYTES = 348
_NIFTI2_BYTES = 540
_MAX_EDGE = 32767  # dim is int16 in NIfTI-1
_MAX_OFFSET = 1 << 26  # header extensions take kilobytes; a bomb could hide behind a far offset
_HEADER_BYTES = _NIFTI1_BYTES + 4  # four zero bytes: no extensions
_MAGIC = b"n+1\0"
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_LABEL = 1002  # NIFTI_INTENT_LABEL
_MILLIMETRES = 2


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """NIfTI-1 header fields needed to read voxel data and to place it.

    Args:
        sizes: Voxels along each axis, as many as the image has.
        dtype: Of the stored values, with their byte order.
        offset: Where they begin in the uncompressed file.
        slope: Factor of the stored values; 0 for an image that is not scaled.
        intercept: Added after that.
        geometry: Where the voxels lie.
        is_label: Whether the values are labels (intent code 1002).
    """

    sizes: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    geometry: NiftiGeometry
    is_label: bool = False

    @classmethod
    def read(cls, path: Path) -> NiftiHeader:
        """Read and check the header of a `.nii` or `.nii.gz` file, NIfTI-1.

        Raises:
            ImageError: If the file is not NIfTI, cut off, or its header damaged.
            ShapeError: If its voxels are not real numbers.
        """
        with _open(path) as stream:
            try:
                header = stream.read(_NIFTI1_BYTES)
            except GZIP_ERRORS as error:
                raise _damaged(path, error) from error
        for order in "<>":
            if header.startswith(struct.pack(order + "i", _NIFTI1_BYTES)) and len(header) >= _NIFTI1_BYTES:
                return cls._checked(path, header, order)
            if header.startswith(struct.pack(order + "i", _NIFTI2_BYTES)):
                # SimpleITK cannot say where it lies, and Slicer cannot open it either.
                raise ImageError(
                    f"{path} is in NIfTI version 2.", code="bad_image.format", hint="Convert it to NIfTI-1 or NRRD."
                )
        raise ImageError(
            f"{path} is not a NIfTI file.", code="bad_image.format", hint="Check what it is; its name says NIfTI."
        )

    @classmethod
    def _checked(cls, path: Path, header: bytes, order: str) -> NiftiHeader:
        def fields(form: str, position: int) -> tuple[Any, ...]:
            return struct.unpack_from(order + form, header, position)

        num_axes, *sizes = fields("8h", 40)
        intent, dtype_code = fields("2h", 68)
        pixdim = fields("4f", 76)
        offset, slope, intercept = fields("3f", 108)
        qform_code, sform_code = fields("2h", 252)
        if dtype_code in _NOT_REAL:
            raise ShapeError(
                f"{path} does not hold real numbers (NIfTI datatype {dtype_code}).",
                code="input.dtype",
                hint="Convert colour or complex images to one scalar channel.",
            )
        if header[344:348] != _MAGIC:
            raise ImageError(
                f"{path} is no single NIfTI file: it is marked {header[344:348]!r} instead of {_MAGIC!r}.",
                code="bad_image.format",
                hint="Analyze files and pairs of .hdr and .img do not say how they lie; convert the image to NIfTI.",
            )
        is_sane = 1 <= num_axes <= 7 and min(sizes[:num_axes]) >= 1 and _HEADER_BYTES <= offset <= _MAX_OFFSET
        if not np.isfinite(slope):
            slope = 0.0  # no valid scaling: not scaled, as nibabel, ITK and Slicer read it
        if not is_sane or dtype_code not in _DTYPES or (slope and not np.isfinite(intercept)):
            raise ImageError(f"{path} has a damaged header.", code="bad_image.damaged", hint="Copy or export it again.")
        return cls(
            sizes=tuple(sizes[:num_axes]),
            dtype=np.dtype(order + _DTYPES[dtype_code]),
            offset=int(offset),
            slope=slope,
            intercept=intercept,
            geometry=NiftiGeometry(
                qform_code=qform_code,
                sform_code=sform_code,
                pixdim=pixdim,
                quaternion=fields("3f", 256),
                offset=fields("3f", 268),
                rows=fields("12f", 280),
                units=header[123],
            ),
            is_label=intent == _LABEL,
        )

    @property
    def notes(self) -> list[InputNote]:
        """Assumptions about the values."""
        found = []
        if self.is_label:
            found.append(InputNote("label_map", "The file is marked as a label map, not a scan."))
        if self.slope == 0 and np.isfinite(self.intercept) and self.intercept:
            text = (
                f"The values were taken as stored, as by the NIfTI standard: without a slope, the intercept of "
                f"{self.intercept:g} does not count. 3D Slicer adds it."
            )
            found.append(InputNote("values.no_slope", text))
        return found


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


def write_nifti(
    path: Path,
    crop: CroppedArray,
    shape: Index3,
    affine: np.ndarray,
    *,
    geometry: NiftiGeometry | None = None,
    is_label: bool = False,
) -> None:
    """Write a `.nii.gz` on a full grid from an array stored inside a box.

    One slice is in memory at a time, so that a map costs its box and not the grid.

    Args:
        path: The file; see `dsm.io.atomic` for writing it whole or not at all.
        crop: Values inside their box; float16 is stored as float32.
        shape: `(I, J, K)` of the grid.
        affine: `(4, 4)` to RAS millimetres; NIfTI stores it in float32.
        geometry: Written as it is instead of `affine`: that of the NIfTI file whose grid this is.
        is_label: Mark the values as labels, which viewers then show without interpolation.

    Raises:
        OutputError: If an axis has more than 32767 voxels, which NIfTI-1 cannot hold.
    """
    dtype = np.dtype(np.float32) if crop.array.dtype == np.float16 else crop.array.dtype
    if max(shape) > _MAX_EDGE:
        raise OutputError(f"NIfTI cannot hold {max(shape)} voxels along an axis.", hint="Write .seg.nrrd instead.")
    with path.open("wb") as stream, gzip_into(stream) as compressed:
        compressed.write(_header(shape, dtype, geometry or _geometry_of(affine), is_label=is_label))
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


def _header(shape: Index3, dtype: np.dtype[np.generic], geometry: NiftiGeometry, *, is_label: bool) -> bytes:
    return struct.pack(
        "<i35xB8h3f4h8f3fhBB4f2i80s24s2h6f12f16s4s4x",
        _NIFTI1_BYTES,
        0,
        *(3, *shape, 1, 1, 1, 1),
        *(0, 0, 0),
        *(_LABEL if is_label else 0, _CODES[dtype.newbyteorder("=")], dtype.itemsize * 8, 0),
        *(*geometry.pixdim, 0, 0, 0, 0),
        *(_HEADER_BYTES, 1, 0),
        *(0, 0, geometry.units),
        *(0, 0, 0, 0),
        *(0, 0),
        b"DSMSegment",
        b"",
        *(geometry.qform_code, geometry.sform_code),
        *(*geometry.quaternion, *geometry.offset),
        *geometry.rows,
        b"",
        b"n+1\0",
    )


def _geometry_of(affine: np.ndarray) -> NiftiGeometry:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    b, c, d, handedness = _quaternion(affine[:3, :3] / spacing)
    return NiftiGeometry(
        qform_code=_SCANNER,
        sform_code=_SCANNER,
        pixdim=(handedness, *spacing),
        quaternion=(b, c, d),
        offset=tuple(affine[:3, 3]),
        rows=tuple(affine[:3].ravel()),
        units=_MILLIMETRES,
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
