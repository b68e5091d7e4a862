"""DICOM series: list those of a folder, and read one as a `Volume`."""

# SimpleITK ships a py.typed marker without annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)

from dsm.core.input_note import InputNote
from dsm.core.modality import MODALITIES
from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, ShapeError
from dsm.io.dicom_frames import MAX_AXIS_ERROR, Frame, Placed, list_frames, read_frames, transfer_syntax
from dsm.io.quiet_itk import quiet_itk

# Tags of slope and intercept, and what they are where they are missing.
_RESCALE = (("0028|1053", "1"), ("0028|1052", "0"))

# Photometric interpretation of images that are shown with bright and dark exchanged.
_INVERTED = "MONOCHROME1"

_MARK_END = 132  # of the prefix of a DICOM file: 128 bytes and "DICM"

# Files that a note names.
_MAX_NAMED = 3

# How far a slice may lie from its place on a regular grid, as a fraction of the spacing: headers round positions, and
# a tenth of a voxel is less than the error of any contour.
_MAX_OFFSET_FRACTION = 0.1

# Radians between the stack and the normal of its slices; the same bound as for the axes of a volume.
_MAX_TILT = 2e-3

CheckSize = Callable[[Path, int, int], None]


@dataclass(frozen=True, slots=True)
class Series:
    """One series in a folder.

    Args:
        uid: Series instance UID.
        modality: As in the files, e.g. `"CT"`; empty if they do not say.
        description: What the scanner called it.
        files: Its files, in no particular order.
        size: Columns, rows and slices, going by the header of one file; zeros if that cannot be read.
        unreadable: DICOM files of the folder that cannot be read, and that may belong to the series.
    """

    uid: str
    modality: str
    description: str
    files: tuple[str, ...]
    size: tuple[int, int, int] = (0, 0, 0)
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice(Placed):
    """The only slice of a file; slope and intercept as the header writes them."""

    rescale: tuple[str, str]
    padding: str = ""


def list_series(folder: str | os.PathLike[str]) -> list[Series]:
    """List the DICOM series whose files lie directly in `folder`, in the order of their UIDs.

    A file that cannot be read costs that file: it is named in `Series.unreadable`.
    """
    with quiet_itk():
        files_of = _files_by_series(Path(folder))
        listed = {os.path.realpath(file) for files in files_of.values() for file in files}
        unreadable: dict[tuple[str, str], list[str]] = {}
        for file in (*_dicom_files(Path(folder)), *_cut_off_before_mark(Path(folder), listed)):
            if os.path.realpath(file) not in listed:
                uid, modality = _series_of_damaged(file)
                # A file may be cut off within its UID.
                uid = next((known for known in files_of if uid and known.startswith(uid)), uid)
                unreadable.setdefault((uid, modality), []).append(file)
        found = [
            _described(
                uid, tuple(files), tuple(f for key in unreadable if key[0] in (uid, "") for f in unreadable[key])
            )
            for uid, files in files_of.items()
        ]
        # A scan of which no file can be read is listed, so that reading it says what is wrong.
        lost = [
            Series(uid, modality, "", tuple(files))
            for (uid, modality), files in unreadable.items()
            if uid and uid not in files_of and modality in MODALITIES
        ]
        return sorted([*found, *lost], key=lambda series: series.uid)


def _files_by_series(folder: Path) -> dict[str, list[str]]:
    try:
        return {
            uid: list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
            for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        }
    except RuntimeError:  # one file that GDCM cannot digest ends its search in the whole folder
        found: dict[str, list[str]] = {}
        for file in _dicom_files(folder):
            with suppress(ImageError):
                found.setdefault(_text(_header(file), "0020|000e"), []).append(file)
        found.pop("", None)
        return found


def _dicom_files(folder: Path) -> list[str]:
    """Return the files of a folder that begin as DICOM files do."""
    found = []
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(
            f"{folder} cannot be read: {error.strerror}.", code="bad_image.unreadable", hint="Check its permissions."
        ) from error
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                with path.open("rb") as stream:
                    if stream.read(_MARK_END)[128:] == b"DICM":
                        found.append(str(path))
    return found


def _cut_off_before_mark(folder: Path, listed: set[str]) -> list[str]:
    """Return files that are too short for the mark of DICOM, and named as the files of a series but for numbers."""

    def pattern(name: str) -> str:
        return re.sub(r"\d+", "0", name)

    names = {pattern(Path(file).name) for file in listed}
    short = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stat().st_size < _MARK_END]
    return [str(path) for path in short if pattern(path.name) in names]


def _described(uid: str, files: tuple[str, ...], unreadable: tuple[str, ...]) -> Series:
    try:
        header = _header(files[0])
    except ImageError:  # the other series of the folder are listed; reading this one says what is wrong
        return Series(uid, "", "", files, unreadable=unreadable)
    columns, rows, *frames = header.GetSize()
    size = columns, rows, len(files) * (frames[0] if frames else 1)
    return Series(uid, _text(header, "0008|0060"), _text(header, "0008|103e"), files, size, unreadable)


def read_series(folder: Path, *, series_uid: str | None, modality: str | None, check_size: CheckSize) -> Volume:
    """Read one CT or MR series.

    Slices are ordered by their position along the normal, not by number or name. The affine is that of the headers of
    the first and the last slice.

    Args:
        folder: Holds the files; other files in it do no harm.
        series_uid: Which one, where there are several.
        modality: Instead of that of the files.
        check_size: Called with folder, voxels and bytes before the voxels are read; raises if they are too many.

    Raises:
        ImageError: If there is no such series, or several, or it is not a stack of slices.
        ShapeError: If it is one slice, or in colour.
        GeometryError: If slices are missing, doubled, unevenly spaced, or tilted.
    """
    series = choose_series(folder, series_uid=series_uid, modality=modality)
    slices = _sorted_slices(folder, [item for file in series.files for item in _slices(file)])
    _check_stack(folder, slices)
    _check_table(slices)
    columns, rows = slices[0].size
    num_voxels = columns * rows * len(slices)
    # Two rescales in one series would not fit into the type of the first slice.
    one_rescale = len({item.rescale for item in slices}) == 1
    check_size(folder, num_voxels, num_voxels * (2 if one_rescale else 4))
    array = _read_voxels(folder, slices, one_rescale=one_rescale)
    notes = [*_left_out(series), *_photometric(slices)]
    array, padding = _without_padding(array, slices)
    if padding:
        notes.append(padding)
    name = series.description or folder.name
    return Volume(array, _affine(slices), modality or series.modality, name, notes=tuple(notes))


def _left_out(series: Series) -> list[InputNote]:
    if not series.unreadable:
        return []
    names = ", ".join(Path(file).name for file in series.unreadable[:_MAX_NAMED])
    more = len(series.unreadable) - _MAX_NAMED
    text = (
        f"{len(series.unreadable)} DICOM file{'s' * (len(series.unreadable) > 1)} of the folder cannot be read and "
        f"{'are' if len(series.unreadable) > 1 else 'is'} left out ({names}{f' and {more} more' * (more > 0)}); slices "
        "at the ends of the scan may be missing."
    )
    return [InputNote("slices.left_out", text)]


def _photometric(slices: Sequence[_Slice | Frame]) -> list[InputNote]:
    if all(item.photometric != _INVERTED for item in slices):
        return []
    text = (
        "The files are marked to be shown inverted (MONOCHROME1). That is about display: the values were taken as they "
        "are stored."
    )
    return [InputNote("values.monochrome1", text)]


def _without_padding(array: np.ndarray, slices: Sequence[_Slice | Frame]) -> tuple[np.ndarray, InputNote | None]:
    """Give voxels of the padding value, which lie outside of the field of view, the lowest value of the others."""
    first = slices[0]
    if not isinstance(first, _Slice) or not first.padding or len({item.rescale for item in slices}) > 1:
        return array, None
    try:
        slope, intercept = (float(text or default) for text, default in zip(first.rescale, ("1", "0"), strict=True))
        stored = float(first.padding)
    except ValueError:
        return array, None
    # A negative value in a header of unsigned voxels stands for the same bits (two's complement).
    candidates = [value * slope + intercept for value in (stored, stored + 2**16 if stored < 0 else stored)]
    is_padding = np.isin(array, candidates)
    share = np.count_nonzero(is_padding) / array.size
    rest = array[~is_padding]
    if not share or not rest.size or candidates[-1] <= rest.min():
        return array, None  # none, or darker than anything else: air as it is
    text = f"{share:.0%} of the voxels hold the padding value {candidates[-1]:.0f}; they were taken for air."
    return np.where(is_padding, rest.min(), array), InputNote("values.padding", text)


def _read_voxels(folder: Path, slices: Sequence[_Slice | Frame], *, one_rescale: bool) -> np.ndarray:
    frames = [item for item in slices if isinstance(item, Frame)]
    if len(frames) == len(slices):
        return read_frames(frames)
    if frames:
        raise ImageError(
            f"The series in {folder} mixes multi-frame files and single slices.",
            code="bad_image.multi_frame",
            hint="Move one kind to another folder.",
        )
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([item.file for item in slices])
    if not one_rescale:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return np.asarray(sitk.GetArrayFromImage(reader.Execute()).transpose(2, 1, 0))
    except RuntimeError as error:
        syntax = transfer_syntax(slices[0].file)
        raise ImageError(
            f"The series in {folder} has a file that is cut off, damaged or compressed in an unknown way"
            f"{f' ({syntax})' * bool(syntax)}.",
            code="bad_image.damaged",
            hint="Export it again, uncompressed.",
            details=str(error),
        ) from error


def choose_series(folder: Path, *, series_uid: str | None = None, modality: str | None = None) -> Series:
    """Find the one CT or MR series in a folder; raises as `read_series`."""
    every = list_series(folder)
    if not every:
        raise ImageError(
            f"{folder} holds no DICOM files.",
            code="bad_image.no_dicom",
            hint="Give the folder that holds the files of one series directly.",
        )
    if series_uid is not None:
        for series in every:
            if series.uid == series_uid:
                return _of_known_modality(folder, series, modality)
        raise ImageError(
            f"{folder} holds no series {series_uid}.",
            code="bad_image.no_series",
            hint=f"Choose one with --series UID: {_listing(every)}.",
        )
    # Segmentations, dose and reports often lie beside the scan that they belong to.
    scans = [series for series in every if series.modality in MODALITIES] or every
    if len(scans) > 1:
        raise ImageError(
            f"{folder} holds {len(scans)} series.",
            code="bad_image.several_series",
            hint=f"Choose one with --series UID: {_listing(scans)}.",
        )
    return _of_known_modality(folder, scans[0], modality)


def _of_known_modality(folder: Path, series: Series, modality: str | None) -> Series:
    if modality is None and series.modality not in MODALITIES:
        raise ImageError(
            f"The series in {folder} is of modality {series.modality or 'unknown'}; CT or MR is needed.",
            code="bad_image.modality",
            hint="Give --modality CT or MR if the files are wrong about it.",
        )
    return series


def _listing(series: list[Series]) -> str:
    return "; ".join(
        f"{item.uid} ({item.modality or '?'}, {len(item.files)} files{', ' * bool(item.description)}{item.description})"
        for item in series
    )


def _header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageError(
            f"{file} is damaged or holds no image.",
            code="bad_image.damaged",
            hint="Export it again.",
            details=str(error),
        ) from error
    return reader


def _series_of_damaged(file: str) -> tuple[str, str]:
    """Return series UID and modality of a file that GDCM does not read, as pydicom reads them; empty where unknown."""
    try:
        from pydicom import dcmread  # noqa: PLC0415

        dataset = dcmread(file, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "Modality"])
        return str(dataset.get("SeriesInstanceUID") or ""), str(dataset.get("Modality") or "")
    except Exception:  # whatever is wrong with it: it is named as unreadable
        return "", ""


def _text(header: sitk.ImageFileReader, tag: str) -> str:
    return str(header.GetMetaData(tag)).strip(" \0") if header.HasMetaDataKey(tag) else ""


def _numbers(file: str, header: sitk.ImageFileReader, tag: str, count: int) -> np.ndarray:
    try:
        numbers = np.array([float(part) for part in _text(header, tag).split("\\")])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ImageError(
            f"{file} does not say where it lies in the patient (tag {tag.replace('|', ',')}).",
            code="bad_image.no_position",
            hint="Give a series of axial, coronal or sagittal slices; screenshots and reports are none.",
        )
    return numbers


def _slices(file: str) -> Sequence[_Slice | Frame]:
    """Return the positions of the slices in a file: one, or several for a multi-frame image."""
    header = _header(file)
    if int(_text(header, "0028|0008") or 1) > 1:
        return list_frames(file)
    if header.GetNumberOfComponents() > 1 or _text(header, "0028|0002") not in ("", "1"):
        raise ShapeError(
            f"{file} is in colour.", code="input.dtype", hint="Give the original series, not a screenshot or a fusion."
        )
    axes = _numbers(file, header, "0020|0037", 6)
    _check_axes(file, axes)
    # Row spacing first: the distance between rows, along the columns.
    between_rows, between_columns = _numbers(file, header, "0028|0030", 2)
    columns, rows = header.GetSize()[:2]
    photometric = _text(header, "0028|0004")
    place: dict[str, Any] = {
        "file": file,
        "origin": _numbers(file, header, "0020|0032", 3),
        "row": axes[:3],
        "column": axes[3:],
        "spacing": (float(between_columns), float(between_rows)),
        "size": (columns, rows),
        "photometric": photometric,
        "frame_of_reference": _text(header, "0020|0052"),
    }
    if photometric == _INVERTED:
        # GDCM would invert the values, too, not only how they are shown.
        slope, intercept = (float(_text(header, tag) or default) for tag, default in _RESCALE)
        return [Frame(**place, number=0, slope=slope, intercept=intercept)]
    return [
        _Slice(
            **place,
            rescale=(_text(header, _RESCALE[0][0]), _text(header, _RESCALE[1][0])),
            padding=_text(header, "0028|0120"),
        )
    ]


def _check_table(slices: Sequence[_Slice | Frame]) -> None:
    """Refuse a series whose values go through a table instead of slope and intercept, which GDCM does not read."""
    first = next((item for item in slices if isinstance(item, _Slice) and not item.rescale[0]), None)
    if first is None:
        return
    try:
        from pydicom import dcmread  # noqa: PLC0415

        dataset = dcmread(first.file, stop_before_pixels=True, specific_tags=["ModalityLUTSequence"])
    except Exception:  # without pydicom, or a file that only GDCM can read
        return
    if "ModalityLUTSequence" in dataset:
        raise ImageError(
            f"{first.file} gives its values by a table (Modality LUT), which is not read.",
            code="bad_image.lookup_table",
            hint="Export the series with rescale slope and intercept.",
        )


def _check_axes(file: str, axes: np.ndarray) -> None:
    row, column = axes[:3], axes[3:]
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > MAX_AXIS_ERROR or abs(row @ column) > MAX_AXIS_ERROR:
        raise GeometryError(
            f"{file} does not say which way its rows and columns run: their directions are no unit vectors at right "
            "angles (Image Orientation Patient).",
            code="geometry.affine",
            hint="Export the series again.",
        )


def _sorted_slices(folder: Path, slices: Sequence[_Slice | Frame]) -> list[_Slice | Frame]:
    first = slices[0]
    for item in slices:
        same_axes = np.allclose(item.row, first.row, atol=1e-3) and np.allclose(item.column, first.column, atol=1e-3)
        if item.frame_of_reference != first.frame_of_reference:
            raise GeometryError(
                f"The series in {folder} mixes frames of reference: the places of its slices cannot be compared.",
                code="geometry.mixed_slices",
                hint="Move the files of one frame of reference to another folder.",
                details=f"{first.file}\n{item.file}",
            )
        if item.size != first.size or not same_axes or not np.allclose(item.spacing, first.spacing, rtol=1e-3):
            raise GeometryError(
                f"The series in {folder} mixes slices of different size, spacing or direction (a localizer?).",
                code="geometry.mixed_slices",
                hint="Move the files that do not belong to the stack to another folder.",
                details=f"{first.file}\n{item.file}",
            )
    return sorted(slices, key=lambda item: float(item.origin @ first.normal))


def _check_stack(folder: Path, slices: Sequence[Placed]) -> None:
    if len(slices) < 2:
        raise ShapeError(
            f"The series in {folder} is one slice.",
            code="input.slice",
            hint="Load the whole series, not a single slice.",
        )
    normal = slices[0].normal
    depths = np.array([item.origin @ normal for item in slices])
    gaps = np.diff(depths)
    typical = float(np.median(gaps))
    if gaps.min() < _MAX_OFFSET_FRACTION * max(typical, 1e-3):
        raise GeometryError(
            f"The series in {folder} has several slices at the same place (time points, phases or echoes?).",
            code="geometry.doubled_slices",
            hint="Split it into one folder a time point, for example in Slicer's DICOM module with advanced loading.",
        )
    regular = np.linspace(depths[0], depths[-1], len(depths))
    step = (depths[-1] - depths[0]) / (len(depths) - 1)
    if np.abs(depths - regular).max() > _MAX_OFFSET_FRACTION * step:
        raise _uneven(folder, gaps, typical)
    stack = slices[-1].origin - slices[0].origin
    tilt = float(np.arctan2(np.linalg.norm(np.cross(stack, normal)), stack @ normal))
    if tilt > _MAX_TILT:
        raise GeometryError(
            f"The slices in {folder} are tilted against their stack by {np.degrees(tilt):.1f}° (gantry tilt).",
            code="geometry.sheared",
            hint="Load it in Slicer (its DICOM module corrects the tilt), harden the transform and save it as .nrrd.",
        )
    straight = slices[0].origin + np.linspace(0, 1, len(slices))[:, None] * stack
    if np.linalg.norm(np.array([item.origin for item in slices]) - straight, axis=1).max() > step:
        raise GeometryError(
            f"The slices in {folder} do not lie above each other.",
            code="geometry.mixed_slices",
            hint="Move the files that do not belong to the stack to another folder.",
        )


def _uneven(folder: Path, gaps: np.ndarray, typical: float) -> GeometryError:
    steps = gaps / typical
    missing = int(np.rint(steps).sum()) - len(gaps)
    if missing > 0 and np.abs(steps - np.rint(steps)).max() < _MAX_OFFSET_FRACTION:
        return GeometryError(
            f"The series in {folder} lacks {missing} slice{'s' * (missing > 1)}: most are {typical:.4g} mm apart, "
            f"some {gaps.max():.4g} mm.",
            code="geometry.missing_slices",
            hint="Export the whole series again.",
        )
    return GeometryError(
        f"The slices in {folder} are not evenly spaced: {gaps.min():.4g} to {gaps.max():.4g} mm.",
        code="geometry.uneven_slices",
        hint="Load it in Slicer, which resamples such a series, and save it as .nrrd.",
    )


def _affine(slices: Sequence[Placed]) -> np.ndarray:
    first, last = slices[0], slices[-1]
    lps = np.eye(4)
    lps[:3, 0] = first.row * first.spacing[0]
    lps[:3, 1] = first.column * first.spacing[1]
    lps[:3, 2] = (last.origin - first.origin) / (len(slices) - 1)
    lps[:3, 3] = first.origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
