"""Segments of 3D Slicer read back, from `.seg.nrrd` or from a scene bundle `.mrb`."""

# SimpleITK ships a py.typed marker without annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)

from dsm.core.boxes import CroppedArray, Index3
from dsm.errors import ImageError, InputError
from dsm.io.itk_affine import affine_of
from dsm.io.nrrd_header import check_header
from dsm.io.quiet_itk import quiet_itk
from dsm.io.segment_record import SegmentRecord

_TERMINOLOGY = "TerminologyEntry"
# In voxels: files round.
_SAME_PLACE = 0.05


def read_segments(path: str | os.PathLike[str]) -> list[SegmentRecord]:
    """Read segments with names, colours, terminology and tags; `dsm.core.segment_tags.from_tags` says what tags mean.

    Args:
        path: A `.seg.nrrd`, or an `.mrb` of which all segmentations are read.

    Returns:
        The segments in the order of the file; masks are cropped, on the grid of the scan that was segmented.

    Raises:
        ImageError: If the file is damaged or holds no segmentation (`bad_image.no_segmentation`).
    """
    path = Path(path)
    if path.suffix == ".mrb":
        return _read_bundle(path)
    return _read_nrrd(path)


def holds_segments(path: Path) -> bool:
    """Return whether a file is a segmentation of Slicer in NRRD, whatever the rest of its name."""
    is_nrrd = path.is_file() and path.suffix.lower() == ".nrrd"
    return is_nrrd and any(note.code == "label_map" for note in check_header(path))


def read_segments_of(path: Path, shape: Index3, affine: np.ndarray) -> list[SegmentRecord]:
    """Read the segments of a `.seg.nrrd` onto the grid of their scan.

    Args:
        path: The file.
        shape: Voxels of the scan along its axes.
        affine: `(4, 4)` of the scan, from voxel index to RAS mm.

    Raises:
        InputError: If they are on the grid of another scan.
        ImageError: As `read_segments`.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        with quiet_itk():
            reader.ReadImageInformation()  # the voxels of another scan may be any number
            start = _start_on(reader, shape, affine)
    except RuntimeError as error:
        raise ImageError(f"{path} cannot be read as NRRD.", code="bad_image.damaged", details=str(error)) from error
    if start is None:
        raise InputError(
            f"The segments of {path.name} are on another grid than the scan.",
            code="geometry.label",
            hint="Open the scan that they were made of, or resample them to this one in 3D Slicer.",
        )
    return _read_nrrd(path, start)


def _start_on(reader: sitk.ImageFileReader, shape: Index3, affine: np.ndarray) -> np.ndarray | None:
    """Return the index on a grid of the first voxel of a file; None if the file is not a part of that grid."""
    if reader.GetDimension() != 3:
        return None
    size = np.array(reader.GetSize())
    to_grid = np.linalg.solve(affine, affine_of(reader))
    start = np.round(to_grid[:3, 3])
    shift = to_grid - np.eye(4)
    shift[:3, 3] -= start
    corners = np.array(np.meshgrid(*([0, one] for one in size), [1])).reshape(4, -1)
    is_part = (start >= 0).all() and (start + size <= shape).all()
    return start.astype(int) if is_part and np.abs((shift @ corners)[:3]).max() < _SAME_PLACE else None


def _read_bundle(path: Path) -> list[SegmentRecord]:
    records = []
    try:
        with zipfile.ZipFile(path) as bundle, tempfile.TemporaryDirectory() as folder:
            for name in bundle.namelist():
                if not name.endswith(".seg.nrrd"):
                    continue
                target = Path(folder) / "one.seg.nrrd"
                with bundle.open(name) as packed, target.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
                records += _read_nrrd(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ImageError(f"{path} is not a scene bundle of 3D Slicer.", code="bad_image.damaged") from error
    return records


def _read_nrrd(path: Path, start: np.ndarray | None = None) -> list[SegmentRecord]:
    try:
        with quiet_itk():
            image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    except RuntimeError as error:
        raise ImageError(f"{path} cannot be read as NRRD.", code="bad_image.damaged", details=str(error)) from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    numbers = sorted(int(found[1]) for key in header if (found := re.fullmatch(r"Segment(\d+)_ID", key)))
    if not numbers:
        raise ImageError(
            f"{path} holds no segmentation of 3D Slicer.",
            code="bad_image.no_segmentation",
            hint="Give a .seg.nrrd or an .mrb that was saved by 3D Slicer or dsm.",
        )
    voxels = sitk.GetArrayViewFromImage(image)
    layers = voxels if image.GetNumberOfComponentsPerPixel() > 1 else voxels[..., None]
    if start is None:
        start = np.array([int(part) for part in header.get("Segmentation_ReferenceImageExtentOffset", "0 0 0").split()])
    return [_record(header, f"Segment{number}_", layers, start) for number in numbers]


def _record(header: Mapping[str, str], prefix: str, layers: np.ndarray, offset: np.ndarray) -> SegmentRecord:
    layer = layers[..., int(header.get(f"{prefix}Layer", "0"))]
    mask = (layer == int(header.get(f"{prefix}LabelValue", "1"))).transpose(2, 1, 0)
    red, green, blue = (round(255 * float(part)) for part in header.get(f"{prefix}Color", "0.5 0.5 0.5").split())
    tags = dict(part.split(":", 1) for part in header.get(f"{prefix}Tags", "").split("|") if ":" in part)
    return SegmentRecord(
        header.get(f"{prefix}Name", ""),
        CroppedArray.from_mask(mask.astype(np.uint8), offset.tolist()),
        (red, green, blue),
        tags.pop(_TERMINOLOGY, ""),
        tags,
    )
