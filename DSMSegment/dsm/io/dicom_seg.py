"""DICOM SEG output that references the source series; needs the extra `dicom`."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsm._version import __version__
from dsm.core.boxes import Box, CroppedArray
from dsm.core.extras import install_hint
from dsm.core.name_status import CUT_OFF
from dsm.core.segment_tags import (
    ACCEPTED_TAG,
    ALGORITHM_NAME_TAG,
    ALGORITHM_TYPE_TAG,
    AUTOMATIC,
    NOTE_TAG,
    TAGS,
    VERSION_TAG,
)
from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, MissingDependencyError, OutputError
from dsm.io.atomic import atomic_output
from dsm.io.segment_record import SegmentRecord, check_records

if TYPE_CHECKING:
    from pydicom import Dataset

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

# Voxels; headers round positions, and a slice is a whole voxel away from the next.
_MAX_OFFSET = 0.2

# What the standard wants in every image, though it may be empty; exported files lack one or the other.
_TYPE_2 = (
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

# Value representations: a long string, and a text of an algorithm parameter.
_MAX_DESCRIPTION = 1024  # DICOM value representation ST
_MAX_LABEL = 64

# DICOM demands a category and a type.
_UNKNOWN = (("85756007", "SCT", "Tissue"), ("85756007", "SCT", "Tissue"))

# Notes may name files of this machine: of them, only those about the mask go into the file.
_FLAG = re.compile(rf"Check: .+?[.?](?= |$)|{re.escape(CUT_OFF)}")
_PARAMETERS = tuple(name for name in TAGS if name.startswith("DSM.") and name not in (NOTE_TAG, ACCEPTED_TAG))

_SERIES_NUMBER = 300


def write_dicom_seg(
    path: str | os.PathLike[str],
    records: Sequence[SegmentRecord],
    volume: Volume,
    files: Sequence[str | os.PathLike[str]],
    *,
    description: str = "DSMSegment",
) -> None:
    """Write segments as DICOM SEG, with names, colours, codes and algorithm identification.

    Each segment gets the codes of `SegmentRecord.terminology_tag`, the algorithm type and name of its tags
    `DICOM.SegmentAlgorithmType` (by default `AUTOMATIC`) and `DICOM.SegmentAlgorithmName`, and its tags `DSM.…` as
    parameters of the algorithm. Patient and study are those of the series.

    Args:
        path: The file.
        records: The segments; those that are empty are left out. They may overlap.
        volume: Whose grid the masks are on.
        files: The files of the series that `volume` was read from, in any order: one a slice, or one multi-frame file.
        description: Series description.

    Raises:
        OutputError: If every segment is empty (`output.nothing_found`; DICOM SEG cannot say that) or the file cannot
            be written.
        ShapeError: If a mask reaches outside of the grid.
        GeometryError: If the files lie on another grid than the volume.
        ImageError: If a file is no DICOM image.
        MissingDependencyError: If highdicom is not installed.
    """
    check_records(records, volume)
    drawn = [record for record in records if record.mask.array.any()]
    if not drawn:
        raise OutputError(
            "Nothing was found, and DICOM SEG cannot hold an empty result.",
            code="output.nothing_found",
            hint="Write .seg.nrrd or .nii.gz, or look for something else.",
        )
    segmentation = _segmentation(drawn, volume, files, description)
    with _explained(), atomic_output(path) as part:
        segmentation.save_as(part)


def check_source(volume: Volume, files: Sequence[str | os.PathLike[str]]) -> None:
    """Check, before a long run, that a DICOM SEG can reference a series; raises as `write_dicom_seg`."""
    probe = SegmentRecord("probe", CroppedArray(np.ones((1, 1, 1), np.uint8), (0, 0, 0)), (128, 128, 128))
    _segmentation([probe], volume, files, "probe")


def _segmentation(
    drawn: Sequence[SegmentRecord], volume: Volume, files: Sequence[str | os.PathLike[str]], description: str
) -> Any:
    hd = _highdicom()
    datasets, order = _on_grid(files, volume)
    with _explained():
        segmentation = hd.seg.Segmentation(
            source_images=datasets,
            pixel_array=_frames(drawn, volume)[order],
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(hd, number, record) for number, record in enumerate(drawn, start=1)],
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="DSMSegment",
            manufacturer_model_name="DSMSegment",
            software_versions=__version__,
            device_serial_number="none",
            content_label="SEGMENTATION",
            content_description=description[:_MAX_LABEL],
            series_description=description[:_MAX_LABEL],
        )
    # Names of structures are any text, whatever the scanner spoke.
    segmentation.SpecificCharacterSet = "ISO_IR 192"
    return segmentation


def _highdicom() -> Any:
    try:
        import highdicom  # noqa: PLC0415  (0.6 s, for this format alone)
    except ImportError as error:
        raise MissingDependencyError(
            "DICOM SEG needs the packages highdicom and pydicom.", hint=install_hint("dicom")
        ) from error
    return highdicom


@contextmanager
def _explained() -> Iterator[None]:
    """Return the error for a series that highdicom refuses, naming the faulty header field."""
    try:
        yield
    except (AttributeError, ValueError, TypeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        # Not the words of the error, which may be those of the header: a name, a date of birth.
        raise ImageError(
            "The series cannot be referred to by a DICOM SEG: a header field is missing or wrong.",
            code="bad_image.incomplete_header",
            hint="Export it again with all header fields, or write .seg.nrrd.",
            details=f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}",
        ) from None


def _on_grid(files: Sequence[str | os.PathLike[str]], volume: Volume) -> tuple[list[Dataset], np.ndarray]:
    """Read the headers, and find for each frame of the series which slice `k` of the volume it is.

    Returns:
        The datasets in the order of `k`, and `k` of each of their frames.
    """
    datasets = [_header(file) for file in files]
    for dataset in datasets:
        if "PerFrameFunctionalGroupsSequence" not in dataset and not dataset.get("SliceThickness"):
            dataset.SliceThickness = f"{volume.spacing_mm[2]:.6g}"  # readers of a DICOM SEG need it
    places = [_place(dataset, number) for dataset in datasets for number in range(_num_frames(dataset))]
    if len(places) != volume.shape[2]:
        raise _other_grid(f"the series has {len(places)} slices, the volume {volume.shape[2]}")
    to_index = np.linalg.inv(_RAS_TO_LPS @ volume.affine)
    corners = []
    for place, (columns, rows) in places:
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
    if len(datasets) == 1:
        return datasets, k
    order = np.argsort(k)
    return [datasets[n] for n in order], k[order]


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
        # In one character set that holds all others: highdicom takes no code extensions (Japanese, Korean, Chinese).
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _TYPE_2:
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


def _frames(records: Sequence[SegmentRecord], volume: Volume) -> np.ndarray:
    """Return the masks as `[K, J, I]` of segment numbers, or `[K, J, I, segments]` where segments overlap."""
    i, j, k = volume.shape
    labels = np.zeros((k, j, i), np.uint8 if len(records) <= np.iinfo(np.uint8).max else np.uint16)
    for number, record in enumerate(records, start=1):
        region = labels.transpose(2, 1, 0)[record.mask.box.slices]
        inside = record.mask.array != 0
        if region[inside].any():
            return _overlapping(records, (k, j, i))
        region[inside] = number
    return labels


def _overlapping(records: Sequence[SegmentRecord], shape: tuple[int, int, int]) -> np.ndarray:
    frames = np.zeros((*shape, len(records)), np.uint8)
    for number, record in enumerate(records):
        box: Box = record.mask.box
        frames[..., number].transpose(2, 1, 0)[box.slices] = record.mask.array != 0
    return frames


def _description(hd: Any, number: int, record: SegmentRecord) -> Any:
    category, kind, modifier, region, region_modifier = _codes(record.terminology_tag)
    parameters = {name.removeprefix("DSM."): record.tags.get(name, "") for name in _PARAMETERS}
    name = record.tags.get(ALGORITHM_NAME_TAG) or "DSMSegment"
    algorithm_type = record.tags.get(ALGORITHM_TYPE_TAG) or AUTOMATIC
    identification = None
    if algorithm_type != "MANUAL":
        identification = hd.AlgorithmIdentificationSequence(
            name=name[:_MAX_LABEL],
            family=hd.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
            version=record.tags.get(VERSION_TAG) or __version__,
            source="DSMSegment",
            parameters={key: value for key, value in parameters.items() if value} or None,
        )
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=record.name[:_MAX_LABEL].replace("\\", "/"),
        segmented_property_category=hd.sr.CodedConcept(*category),
        segmented_property_type=hd.sr.CodedConcept(*kind),
        algorithm_type=algorithm_type,
        algorithm_identification=identification,
        tracking_uid=hd.UID(),
        tracking_id=f"{number} {record.name}"[:_MAX_LABEL].replace("\\", "/"),
        anatomic_regions=[hd.sr.CodedConcept(*region)] if region else None,
        display_color=hd.color.CIELabColor.from_rgb(*record.color),
    )
    if modifier:
        item = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept(*modifier)]
    if region and region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [hd.sr.CodedConcept(*region_modifier)]
    if flags := _FLAG.findall(record.tags.get(NOTE_TAG, "")):
        description.SegmentDescription = " ".join(flags)[:_MAX_DESCRIPTION]
    return description


_Triple = tuple[str, str, str]


def _codes(tag: str) -> tuple[_Triple, _Triple, _Triple | None, _Triple | None, _Triple | None]:
    """Read Slicer's terminology entry: category, type, modifier, region and its modifier as (value, scheme, meaning).

    Segments that were drawn by hand may have none, or a broken one: they are "Tissue".
    """
    parts = (tag.split("~") + [""] * 7)[:7]
    category, kind, modifier, region, region_modifier = (_triple(parts[n]) for n in (1, 2, 3, 5, 6))
    if category is None or kind is None:
        return (*_UNKNOWN, None, None, None)
    return category, kind, modifier, region, region_modifier


def _triple(text: str) -> _Triple | None:
    scheme, _, rest = text.partition("^")
    value, _, meaning = rest.partition("^")
    return (value, scheme, meaning[:_MAX_LABEL]) if scheme and value and meaning else None
