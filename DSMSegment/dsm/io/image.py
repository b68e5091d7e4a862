"""Scan input: NIfTI, NRRD, MetaImage files and folders of DICOM series, as a `Volume` in RAS millimetres."""

# SimpleITK ships a py.typed marker without annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)

from dsm.core.boxes import Index3
from dsm.core.input_note import InputNote
from dsm.core.modality import MODALITIES, guess_modality
from dsm.core.nifti_geometry import NiftiGeometry, check_orientation
from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, InputError, ShapeError
from dsm.io.compression import GZIP_MAGIC, MAX_GZIP_RATIO
from dsm.io.dicom import Series, list_series, read_series
from dsm.io.itk_affine import affine_of
from dsm.io.nifti import NiftiHeader, read_nifti_voxels
from dsm.io.nrrd_header import check_header
from dsm.io.quiet_itk import quiet_itk

__all__ = ["MAX_BYTES", "MAX_VOXELS", "Series", "list_series", "read_volume"]

#: Larger images are refused before their voxels are read: no scanner makes them, a damaged or hostile header does.
MAX_VOXELS = 4 * 1024**3
MAX_BYTES = 16 * 1024**3

_NIFTI = (".nii", ".nii.gz")
_SUFFIXES = (*_NIFTI, ".nrrd", ".nhdr", ".mha", ".mhd")
_FORMATS_HINT = "Use NIfTI (.nii, .nii.gz), NRRD, MHA/MHD, or the folder of a DICOM series."


def read_volume(
    path: str | os.PathLike[str],
    *,
    modality: str | None = None,
    series_uid: str | None = None,
    orientation: str | None = None,
) -> Volume:
    """Read a scan.

    The voxels stay as they lie in the file: `i` runs fastest in memory, nothing is reordered, and the affine says where
    each voxel is. Slope and intercept are applied, so CT is in HU.

    Args:
        path: A file `.nii`, `.nii.gz`, `.nrrd`, `.nhdr`, `.mha`, `.mhd`, or the folder that holds the files of a DICOM
            series.
        modality: `"CT"` or `"MR"`. Default: from DICOM, else from the values (`dsm.core.modality`).
        series_uid: Which DICOM series, where the folder holds several.
        orientation: Axis directions such as `"LPS"`, for a NIfTI file whose header has none.

    Returns:
        The volume, named after the file; `notes` say what was assumed.

    Raises:
        ImageError: If the path is missing, unreadable, too large, or not an image of a kind that can be segmented; the
            codes begin with `bad_image.`.
        ShapeError: If it is not one 3-D scalar image of finite numbers.
        GeometryError: If its axes are not at right angles, or its slices not evenly spaced.
    """
    source = Path(path)
    if modality not in (None, *MODALITIES):
        raise InputError(f"The modality {modality} is not known.", code="input.modality", hint="Use CT or MR.")
    if orientation is not None:
        orientation = check_orientation(orientation)
    with quiet_itk():
        if _is_folder(source):
            return read_series(source, series_uid=series_uid, modality=modality, check_size=_check_size)
        if series_uid is not None:
            raise InputError(f"{source} is a file; only folders hold DICOM series.", code="input.series")
        _check_content(source)
        if source.name.lower().endswith(_NIFTI):
            return _read_nifti(source, modality, orientation)
        return _read_file(source, modality)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{path} does not exist.", code="bad_image.missing", hint="Check the path.") from error
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}.", code="bad_image.unreadable", hint="Check the path."
        ) from error


def _volume(
    path: Path,
    array: np.ndarray,
    affine: np.ndarray,
    modality: str | None,
    notes: Sequence[InputNote],
    nifti: NiftiGeometry | None = None,
) -> Volume:
    """Return the volume with the given modality, or the one inferred from its values."""
    if modality is None:
        guess = guess_modality(array)
        modality, notes = guess.modality, [*notes, InputNote("modality.guessed", guess.reason)]
    return Volume(array, affine, modality, path.name, tuple(notes), nifti)


def _read_nifti(path: Path, modality: str | None, orientation: str | None) -> Volume:
    header = NiftiHeader.read(path)
    shape = _checked_shape(path, header.sizes, header.dtype.itemsize)
    affine, notes = header.geometry.resolve(str(path), orientation=orientation)
    notes += header.notes
    return _volume(path, read_nifti_voxels(path, header, shape), affine, modality, notes, header.geometry)


def _read_file(path: Path, modality: str | None) -> Volume:
    notes = check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _itk_error(path, error) from error
    if reader.GetNumberOfComponents() > 1 or reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise ShapeError(
            f"{path} has {reader.GetNumberOfComponents()} values a voxel (colour, vector or complex).",
            code="input.dtype",
            hint="Convert it to one scalar channel.",
        )
    size = reader.GetSize()
    _checked_shape(path, size, sitk.Image([1, 1, 1], reader.GetPixelID()).GetSizeOfPixelComponent())
    # A fourth axis of one entry is dropped here, while reading.
    reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
    try:
        # SimpleITK's own memory must not outlive its image, hence one copy; its arrays run k, j, i.
        array = sitk.GetArrayFromImage(reader.Execute()).transpose(2, 1, 0)
    except RuntimeError as error:
        raise ImageError(
            f"{path} is cut off or damaged, or its data file is missing.",
            code="bad_image.damaged",
            hint="Copy or export it again.",
            details=str(error),
        ) from error
    return _volume(path, array, affine_of(reader), modality, notes)


def _checked_shape(path: Path, size: Sequence[int], value_bytes: int) -> Index3:
    if len(size) < 3:
        raise ShapeError(
            f"{path} is a 2-D image.", code="input.slice", hint="Load the whole series, not a single slice."
        )
    if any(extent > 1 for extent in size[3:]):
        raise ShapeError(
            f"{path} has {len(size)} axes ({'×'.join(map(str, size))}).",
            code="input.axes",
            hint="Choose one time point or one channel.",
        )
    num_voxels = math.prod(size)
    num_bytes = value_bytes * num_voxels
    _check_size(path, num_voxels, num_bytes)
    # Detached headers keep their voxels elsewhere.
    is_detached = path.suffix.lower() in (".nhdr", ".mhd")
    if not is_detached and num_bytes > MAX_GZIP_RATIO * path.stat().st_size:
        raise ImageError(
            f"{path} promises {num_bytes} bytes of voxels, more than fit into it: it is cut off.",
            code="bad_image.damaged",
            hint="Copy or export it again.",
        )
    i, j, k = size[:3]
    return i, j, k


def _check_size(path: Path, num_voxels: int, num_bytes: int) -> None:
    if num_voxels > MAX_VOXELS or num_bytes > MAX_BYTES:
        raise ImageError(
            f"{path} claims {num_voxels:.3g} voxels ({num_bytes / 1024**3:.3g} GiB); the limit is "
            f"{MAX_VOXELS:.3g} voxels and {MAX_BYTES / 1024**3:.0f} GiB.",
            code="bad_image.too_large",
            hint="Crop the image first; if it should be small, its header is damaged.",
        )


def _check_content(path: Path) -> None:
    """Inspect the first bytes, for a clearer message than "unable to determine the reader"."""
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}.", code="bad_image.unreadable", hint="Check its permissions."
        ) from error
    if not head:
        raise ImageError(f"{path} is empty.", code="bad_image.empty", hint="Copy or export it again.")
    if head[128:] == b"DICM":
        raise ImageError(
            f"{path} is one DICOM file.", code="bad_image.dicom_file", hint="Give the folder that holds the series."
        )
    name = path.name.lower()
    if not name.endswith(_SUFFIXES):
        raise ImageError(f"{path} has no known file type.", code="bad_image.format", hint=_FORMATS_HINT)
    if name.endswith(".nii") and head.startswith(GZIP_MAGIC):
        raise ImageError(f"{path} is compressed.", code="bad_image.format", hint="Rename it to .nii.gz.")


def _itk_error(path: Path, error: RuntimeError) -> InputError:
    text = str(error)
    if "orthonormal" in text:
        return GeometryError(
            f"{path}: the axes of the image are not at right angles (sheared, e.g. gantry tilt).",
            code="geometry.sheared",
            hint="Resample it to a regular grid first, for example in Slicer by Resample Scalar/Vector/DWI Volume.",
            details=text,
        )
    if path.name.lower().endswith(_NIFTI):
        # Its header has been looked at already, so it is NIfTI.
        return ImageError(
            f"{path} is cut off or damaged.", code="bad_image.damaged", hint="Copy or export it again.", details=text
        )
    return ImageError(
        f"{path} is not an image that can be read.", code="bad_image.format", hint=_FORMATS_HINT, details=text
    )
