"""Multi-frame and inverted CT and MR files: frame positions and voxels; needs pydicom (extra `dicom`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dsm.core.extras import install_hint
from dsm.errors import ImageError, MissingDependencyError, ShapeError

if TYPE_CHECKING:
    from pydicom import Dataset


#: Error of the length of a direction, and cosine between two; headers round them to three digits at least.
MAX_AXIS_ERROR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Position of a slice in LPS millimetres; `spacing` is between columns and between rows.

    `photometric` is the photometric interpretation, e.g. `"MONOCHROME2"`; places compare within a `frame_of_reference`.
    """

    file: str
    origin: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    photometric: str = ""
    frame_of_reference: str = ""

    @property
    def normal(self) -> np.ndarray:
        """Unit vector along which slices are stacked."""
        return np.cross(self.row, self.column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame(Placed):
    """One frame of a multi-frame file."""

    number: int
    slope: float
    intercept: float

    @property
    def rescale(self) -> tuple[str, str]:
        """Slope and intercept as a header writes them."""
        return str(self.slope), str(self.intercept)


def list_frames(file: str) -> list[Frame]:
    """Read the positions of the frames in a file.

    Raises:
        ImageError: If the file does not say where each frame lies, as screenshots and ultrasound loops do not.
        ShapeError: If it is in colour.
        MissingDependencyError: If pydicom is not installed.
    """
    dataset = _read(file, stop_before_pixels=True)
    if int(dataset.get("SamplesPerPixel") or 1) > 1:
        raise ShapeError(f"{file} is in colour.", code="input.dtype", hint="Give the original series, not a fusion.")
    try:
        return [
            _frame(file, dataset, number)
            for number in range(max(1, len(dataset.get("PerFrameFunctionalGroupsSequence", ()))))
        ]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ImageError(
            f"{file} is a multi-frame image that does not say where each frame lies.",
            code="bad_image.multi_frame",
            hint="Give an enhanced CT or MR image, or a series of slices.",
            details=str(error),
        ) from error


def read_frames(frames: Sequence[Frame]) -> np.ndarray:
    """Read voxels `[I, J, K]`, `k` in the order of `frames`, with slope and intercept applied.

    int16 where slopes are one and the values fit, else float32.

    Raises:
        ImageError: If a file is damaged or compressed in a way that cannot be read here.
    """
    stored: dict[str, np.ndarray] = {}
    for file in dict.fromkeys(frame.file for frame in frames):
        dataset = _read(file)
        try:
            pixels = dataset.pixel_array
        # Decoders of many packages raise what they like.
        except Exception as error:
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            raise ImageError(
                f"The voxels of {file} cannot be read ({getattr(syntax, 'name', 'no transfer syntax')}).",
                code="bad_image.damaged",
                hint="Export it again, uncompressed.",
                details=str(error),
            ) from error
        stored[file] = pixels.reshape(-1, *pixels.shape[-2:])
    whole = all(frame.slope == 1 and frame.intercept == round(frame.intercept) for frame in frames)
    stack = np.empty((len(frames), *stored[frames[0].file].shape[-2:]), np.int32 if whole else np.float32)
    for k, frame in enumerate(frames):
        stack[k] = stored[frame.file][frame.number] * stack.dtype.type(frame.slope) + stack.dtype.type(frame.intercept)
    info = np.iinfo(np.int16)
    if whole and info.min <= stack.min() and stack.max() <= info.max:
        stack = stack.astype(np.int16)
    return stack.transpose(2, 1, 0)


def transfer_syntax(file: str) -> str:
    """Return the encoding of the voxels, e.g. `"JPEG Baseline (Process 1)"`; empty if unknown."""
    try:
        from pydicom.filereader import read_file_meta_info  # noqa: PLC0415

        return str(read_file_meta_info(file).TransferSyntaxUID.name)
    except Exception:  # it only makes a message better
        return ""


def _read(file: str, *, stop_before_pixels: bool = False) -> Dataset:
    try:
        from pydicom import dcmread  # noqa: PLC0415  (0.3 s, for this kind of file alone)
        from pydicom.errors import InvalidDicomError  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            f"{file} is a multi-frame or inverted image, which needs the package pydicom.",
            hint=f"{install_hint('dicom')} Or convert the image first, for example in Slicer to .nrrd.",
        ) from error
    try:
        return dcmread(file, stop_before_pixels=stop_before_pixels)
    except (OSError, InvalidDicomError, EOFError, ValueError, LookupError) as error:  # the last two of odd encodings
        raise ImageError(
            f"{file} is damaged or holds no image.",
            code="bad_image.damaged",
            hint="Export it again.",
            details=str(error),
        ) from error


def _frame(file: str, dataset: Dataset, number: int) -> Frame:
    groups = [dataset.PerFrameFunctionalGroupsSequence[number], dataset.SharedFunctionalGroupsSequence[0]]

    def one(name: str) -> Any:
        for item in groups:
            if name in item:
                return getattr(item, name)[0]
        raise AttributeError(f"no {name}")

    orientation = np.array(one("PlaneOrientationSequence").ImageOrientationPatient, float)
    between_rows, between_columns = map(float, one("PixelMeasuresSequence").PixelSpacing)
    lengths = np.linalg.norm(orientation.reshape(2, 3), axis=1) if orientation.shape == (6,) else np.zeros(2)
    if np.abs(lengths - 1).max() > MAX_AXIS_ERROR:
        raise ValueError("the directions of rows and columns are no unit vectors")
    has_rescale = any("PixelValueTransformationSequence" in item for item in groups)
    rescale = one("PixelValueTransformationSequence") if has_rescale else None
    origin = np.array(one("PlanePositionSequence").ImagePositionPatient, float)
    if origin.shape != (3,) or orientation.shape != (6,) or not np.isfinite([*origin, *orientation]).all():
        raise ValueError("position or orientation is empty or no number")
    return Frame(
        file=file,
        number=number,
        origin=origin,
        row=orientation[:3],
        column=orientation[3:],
        spacing=(between_columns, between_rows),
        size=(int(dataset.Columns), int(dataset.Rows)),
        slope=float(rescale.RescaleSlope) if rescale else 1.0,
        intercept=float(rescale.RescaleIntercept) if rescale else 0.0,
    )
