"""The DICOM series that a segmentation refers to: its headers, and which slice of the volume each frame is."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, OutputError
from dsm.io.segment_record import SegmentRecord

if TYPE_CHECKING:
    from pydicom import Dataset

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

# Voxels; headers round positions, and a slice is a whole voxel away from the next.
_MAX_OFFSET = 0.2

# One voxel, in the place of segments that are yet to be made, to find out whether they could be written.
PROBE = SegmentRecord("probe", CroppedArray(np.ones((1, 1, 1), np.uint8), (0, 0, 0)), (128, 128, 128))

# What the standard wants in every image, though it may be empty; exported files lack one or the other.
TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "StudyDate",
    "StudyTime",
)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """A frame of the series, which is one slice of the volume.

    Args:
        header: Of its file, in the character set UTF-8, with every type 2 attribute of patient and study.
        number: Of the frame in its file, from 0; None where the file is one image.
        k: Slice of the volume.
        to_lps: `(4, 4)`, from pixel `(column, row, 0, 1)` to LPS mm; column and row are `i` and `j` of the volume.
    """

    header: Dataset
    number: int | None
    k: int
    to_lps: np.ndarray


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error about a header into one that names the faulty field.

    Args:
        what: The object that is made, with its article, e.g. `"a DICOM SEG"`.

    Raises:
        ImageError: If a header field is missing or wrong (`bad_image.incomplete_header`).
    """
    try:
        yield
    except (AttributeError, ValueError, TypeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        # Not the words of the error, which may be those of the header: a name, a date of birth.
        raise ImageError(
            f"The series cannot be referred to by {what}: a header field is missing or wrong.",
            code="bad_image.incomplete_header",
            hint="Export it again with all header fields, or write .seg.nrrd.",
            details=f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}",
        ) from None


def nothing_found(what: str) -> OutputError:
    """Return the error for segments that are all empty; `what` is the object that cannot hold them."""
    return OutputError(
        f"Nothing was found, and {what} cannot hold an empty result.",
        code="output.nothing_found",
        hint="Write .seg.nrrd or .nii.gz, or look for something else.",
    )


def source_frames(files: Sequence[str | os.PathLike[str]], volume: Volume) -> list[SourceFrame]:
    """Read the headers of a series, and find which slice of the volume each of its frames is.

    Args:
        files: Of the series that `volume` was read from, in any order: one a slice, or one multi-frame file.
        volume: Every slice of it is one frame.

    Returns:
        The frames; by slice where each has its own file, in the order of the file where it is one.

    Raises:
        GeometryError: If the files lie on another grid than the volume.
        ImageError: If a file is no DICOM image.
    """
    headers = [_header(file) for file in files]
    places = [(header, number, *_place(header, number)) for header in headers for number in range(_num_frames(header))]
    if len(places) != volume.shape[2]:
        raise _other_grid(f"the series has {len(places)} slices, the volume {volume.shape[2]}")
    to_index = np.linalg.inv(_RAS_TO_LPS @ volume.affine)
    corners = []
    for *_, place, (columns, rows) in places:
        if (columns, rows) != volume.shape[:2]:
            raise _other_grid(f"a slice has {columns}×{rows} pixels, the volume {volume.shape[0]}×{volume.shape[1]}")
        # First and last pixel of the slice, in voxels of the volume.
        ends = place @ np.array([[0, columns - 1], [0, rows - 1], [0, 0], [1, 1]])
        corners.append((to_index @ ends)[:3])
    found = np.array(corners)
    k = np.rint(found[:, 2, 0]).astype(int)
    wanted = np.zeros_like(found)
    wanted[:, 0, 1], wanted[:, 1, 1], wanted[:, 2] = volume.shape[0] - 1, volume.shape[1] - 1, k[:, None]
    if abs(found - wanted).max() > _MAX_OFFSET or sorted(k) != list(range(volume.shape[2])):
        raise _other_grid("its slices lie elsewhere")
    frames = [
        SourceFrame(header, number if "NumberOfFrames" in header else None, int(slice_), place)
        for (header, number, place, _), slice_ in zip(places, k, strict=True)
    ]
    return frames if len(headers) == 1 else sorted(frames, key=lambda frame: frame.k)


def _other_grid(why: str) -> GeometryError:
    return GeometryError(
        f"The segments do not lie on the grid of the DICOM series: {why}.",
        code="geometry.other_grid",
        hint="Give the series that was segmented.",
    )


def _header(file: str | os.PathLike[str]) -> Dataset:
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415

    try:
        dataset = dcmread(file, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise ImageError(f"{os.fspath(file)} is not a DICOM file.", code="bad_image.damaged") from error
    if "SpecificCharacterSet" in dataset:
        # In one character set that holds all others: what is written is in that.
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in TYPE_2:
        if keyword not in dataset or not _is_readable(dataset, keyword):
            setattr(dataset, keyword, None)
    return dataset


def _is_readable(dataset: Dataset, keyword: str) -> bool:
    """Return whether a date or a time is valid; other values are arbitrary text."""
    from pydicom.valuerep import DA, TM  # noqa: PLC0415

    kind = {"Date": DA, "Time": TM}.get(keyword[-4:])
    if kind is None:
        return True
    try:
        kind(dataset[keyword].value or "")
    except ValueError:
        return False
    return True


def _num_frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _place(dataset: Dataset, frame: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the `(4, 4)` matrix from pixel `(column, row, 0, 1)` to LPS millimetres, and the columns and rows."""
    position, orientation, spacing = _geometry(dataset, frame)
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(orientation[:3], float) * float(spacing[1])
    matrix[:3, 1] = np.array(orientation[3:], float) * float(spacing[0])
    matrix[:3, 2] = 0
    matrix[:3, 3] = np.array(position, float)
    return matrix, (int(dataset.Columns), int(dataset.Rows))


def _geometry(dataset: Dataset, frame: int) -> tuple[Any, Any, Any]:
    try:
        if "PerFrameFunctionalGroupsSequence" not in dataset:
            return dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
        own = dataset.PerFrameFunctionalGroupsSequence[frame]
        shared = dataset.SharedFunctionalGroupsSequence[0]
        orientation = own if "PlaneOrientationSequence" in own else shared
        measures = own if "PixelMeasuresSequence" in own else shared
        return (
            own.PlanePositionSequence[0].ImagePositionPatient,
            orientation.PlaneOrientationSequence[0].ImageOrientationPatient,
            measures.PixelMeasuresSequence[0].PixelSpacing,
        )
    except (AttributeError, IndexError) as error:
        raise ImageError(
            "A file of the series does not say where it lies in the patient.",
            code="bad_image.no_position",
            hint="Give the series that was segmented.",
            details=str(error),
        ) from error
