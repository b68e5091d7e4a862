"""DICOM RT Structure Set output: the outlines of segments on the slices of their series; needs the extra `dicom`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from dsm._version import __version__
from dsm.core.boxes import CroppedArray
from dsm.core.extras import install_hint
from dsm.core.volume import Volume
from dsm.errors import MissingDependencyError
from dsm.io.atomic import atomic_output
from dsm.io.dicom_source import PROBE, TYPE_2, SourceFrame, explained, nothing_found, source_frames
from dsm.io.dicom_terms import (
    TISSUE,
    Codes,
    Triple,
    algorithm_name,
    algorithm_parameters,
    algorithm_type,
    algorithm_version,
    codes_of,
    flags_of,
    label_of,
)
from dsm.io.planar_contours import outlines
from dsm.io.segment_record import SegmentRecord, check_records

if TYPE_CHECKING:
    from pydicom import Dataset

_SERIES_NUMBER = 301
_WHAT = "a DICOM RT Structure Set"
# Of patient and study, what is taken over where the series has it, beside what the standard demands.
_TYPE_3 = (
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"  # the class by which structure sets refer to a study
_ARTIFICIAL_INTELLIGENCE = ("123110", "DCM", "Artificial Intelligence")
_MAX_DESCRIPTION = 1024  # DICOM value representation ST

# SNOMED CT codes of segments' types. Planning knows a gross tumor volume, an organ, or what is left empty: cysts and
# fluids are neither, and the last two are anatomical by their category alone (radiotherapy target, thrombus).
_TUMORS = {"108369006", "14799000", "1187396000", "1163043007", "255046005", "4147007"}
_ORGAN_CATEGORIES = {"123037004", TISSUE[0]}
_NO_ORGANS = {"774007", "396339007", TISSUE[0]}


def write_rtstruct(
    path: str | os.PathLike[str],
    records: Sequence[SegmentRecord],
    volume: Volume,
    files: Sequence[str | os.PathLike[str]],
    *,
    description: str = "DSMSegment",
) -> None:
    """Write segments as DICOM RT Structure Set: closed planar contours on the slices of the series, in LPS mm.

    Each segment is a region of interest with its name, colour, codes, algorithm type and name, and volume. Holes are
    joined to the contour around them (`dsm.io.planar_contours`), not combined by exclusion: readers that know
    `CLOSED_PLANAR` alone, most of them, fill the holes of the other convention. Patient and study are those of the
    series; the structure set is unapproved.

    Args:
        path: The file.
        records: The segments; those that are empty are left out, and the description of the structure set names them.
            They may overlap.
        volume: Whose grid the masks are on.
        files: The files of the series that `volume` was read from, in any order: one a slice, or one multi-frame file.
        description: Series description.

    Raises:
        OutputError: If every segment is empty (`output.nothing_found`; there must be a region) or the file cannot be
            written.
        ShapeError: If a mask reaches outside of the grid.
        GeometryError: If the files lie on another grid than the volume.
        ImageError: If a file is no DICOM image, or lacks a field that is needed.
        MissingDependencyError: If pydicom or contourpy is not installed.
    """
    check_records(records, volume)
    _check_packages()
    if not any(record.mask.array.any() for record in records):
        raise nothing_found(_WHAT)
    frames = source_frames(files, volume)
    with explained(_WHAT):
        dataset = _structure_set(records, volume, frames, description)
    # By way of memory: pydicom loses the number of an error, and with it that the disk is full.
    contents = BytesIO()
    dataset.save_as(contents, enforce_file_format=True)
    with atomic_output(path) as part:
        part.write_bytes(contents.getbuffer())


def check_source(volume: Volume, files: Sequence[str | os.PathLike[str]]) -> None:
    """Check, before a long run, that an RT Structure Set can refer to a series; raises as `write_rtstruct`."""
    _check_packages()
    frames = source_frames(files, volume)
    with explained(_WHAT):
        _structure_set([PROBE], volume, frames, PROBE.name)


def _check_packages() -> None:
    try:
        import contourpy  # noqa: F401, PLC0415
        import pydicom  # noqa: PLC0415

        if int(pydicom.__version__.split(".")[0]) < 3:
            raise ImportError(pydicom.__version__)
    except ImportError as error:
        raise MissingDependencyError(
            "A DICOM RT Structure Set needs the packages pydicom (3 or newer) and contourpy.",
            hint=install_hint("dicom"),
        ) from error


def _structure_set(
    records: Sequence[SegmentRecord], volume: Volume, frames: Sequence[SourceFrame], description: str
) -> Dataset:
    from pydicom.uid import generate_uid  # noqa: PLC0415

    drawn = [(number, record) for number, record in enumerate(records, start=1) if record.mask.array.any()]
    empty = [record.name for record in records if not record.mask.array.any()]
    header, now = frames[0].header, datetime.now()
    reference = _reference_frame(frames)
    dataset = _empty_file()
    dataset.SpecificCharacterSet = "ISO_IR 192"  # names of structures are any text
    for keyword in (*TYPE_2, *_TYPE_3):
        if keyword in header:
            dataset[keyword] = deepcopy(header[keyword])
    dataset.StudyInstanceUID = _demanded(header, "StudyInstanceUID")
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(prefix=None), _SERIES_NUMBER
    dataset.SeriesDescription = label_of(description)
    dataset.OperatorsName = None
    dataset.Manufacturer = dataset.ManufacturerModelName = "DSMSegment"
    dataset.SoftwareVersions = __version__
    dataset.FrameOfReferenceUID = reference
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = "DSMSegment"
    if empty:
        dataset.StructureSetDescription = f"Empty, so not in here: {', '.join(empty)}"[:_MAX_DESCRIPTION]
    dataset.StructureSetDate, dataset.StructureSetTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_series_reference(frames, reference)]
    dataset.StructureSetROISequence = [_region(number, record, volume, reference) for number, record in drawn]
    dataset.ROIContourSequence = [_contours(number, record, frames) for number, record in drawn]
    dataset.RTROIObservationsSequence = [_observation(number, record) for number, record in drawn]
    return dataset


def _empty_file() -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid  # noqa: PLC0415

    dataset, meta = Dataset(), FileMetaDataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid(prefix=None)
    # With explicit value representations, the length of a contour has two bytes, which is too short for large ones.
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def _demanded(header: Dataset, keyword: str) -> Any:
    if not (value := getattr(header, keyword)):
        raise ValueError(keyword)
    return value


def _reference_frame(frames: Sequence[SourceFrame]) -> str:
    """Return the UID of the frame of reference, in which contours have coordinates: one for all slices."""
    (uid,) = {str(_demanded(frame.header, "FrameOfReferenceUID")) for frame in frames}
    return uid


def _series_reference(frames: Sequence[SourceFrame], reference: str) -> Dataset:
    first = frames[0].header
    headers = {str(_demanded(frame.header, "SOPInstanceUID")): frame.header for frame in frames}
    series = _item(
        SeriesInstanceUID=_demanded(first, "SeriesInstanceUID"),
        ContourImageSequence=[_image_reference(header) for header in headers.values()],
    )
    study = _item(
        ReferencedSOPClassUID=_DETACHED_STUDY,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=reference, RTReferencedStudySequence=[study])


def _image_reference(header: Dataset, frame: int | None = None) -> Dataset:
    item = _item(
        ReferencedSOPClassUID=_demanded(header, "SOPClassUID"),
        ReferencedSOPInstanceUID=header.SOPInstanceUID,
    )
    if frame is not None:
        item.ReferencedFrameNumber = frame + 1
    return item


def _region(number: int, record: SegmentRecord, volume: Volume, reference: str) -> Dataset:
    kind = algorithm_type(record)
    item = _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=reference,
        ROIName=label_of(record.name),
        ROIGenerationAlgorithm=kind,
        ROIVolume=f"{volume.ml_of(record.mask.num_voxels):.7g}",
    )
    if flags := flags_of(record):
        item.ROIDescription = flags
    if kind != "MANUAL":
        item.ROIGenerationDescription = algorithm_name(record)
        item.ROIDerivationAlgorithmIdentificationSequence = [_algorithm(record)]
    return item


def _algorithm(record: SegmentRecord) -> Dataset:
    item = _item(
        AlgorithmFamilyCodeSequence=[_code(_ARTIFICIAL_INTELLIGENCE)],
        AlgorithmName=algorithm_name(record),
        AlgorithmVersion=algorithm_version(record),
        AlgorithmSource="DSMSegment",
    )
    if parameters := algorithm_parameters(record):
        item.AlgorithmParameters = ",".join(f"{name}={value}" for name, value in parameters.items())
    return item


def _contours(number: int, record: SegmentRecord, frames: Sequence[SourceFrame]) -> Dataset:
    polygons = [(frame, polygon) for frame in frames for polygon in _polygons(record.mask, frame.k)]
    contours = [_contour(count, frame, polygon) for count, (frame, polygon) in enumerate(polygons, start=1)]
    return _item(ReferencedROINumber=number, ROIDisplayColor=list(record.color), ContourSequence=contours)


def _polygons(mask: CroppedArray, k: int) -> Iterator[np.ndarray]:
    """Yield the outlines of a mask in a slice of the volume, `(n, 2)` in pixels of the slice."""
    i, j, first = mask.offset_ijk
    if first <= k < mask.box.stop[2]:
        for polygon in outlines(mask.array[:, :, k - first]):
            yield polygon + np.array([i, j])


def _contour(number: int, frame: SourceFrame, polygon: np.ndarray) -> Dataset:
    from pydicom.dataelem import DataElement  # noqa: PLC0415

    points = polygon @ frame.to_lps[:3, :2].T + frame.to_lps[:3, 3]
    item = _item(
        ContourImageSequence=[_image_reference(frame.header, frame.number)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourNumber=number,
    )
    # One text: pydicom makes an object of each number of a list, which takes seconds for a liver.
    text = "\\".join(f"{value:.7g}" for value in (np.round(points, 4) + 0.0).ravel())
    item[0x3006, 0x0050] = DataElement(0x30060050, "DS", text, already_converted=True)
    return item


def _observation(number: int, record: SegmentRecord) -> Dataset:
    codes = codes_of(record.terminology_tag)
    item = _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        SegmentedPropertyCategoryCodeSequence=[_code(codes.category)],
        RTROIIdentificationCodeSequence=[_code(codes.kind)],
        RTROIInterpretedType=_interpreted_type(codes),
        ROIInterpreter=None,
    )
    if codes.modifier:
        kind = item.RTROIIdentificationCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(codes.modifier)]
    if codes.region:
        item.AnatomicRegionSequence = [_code(codes.region)]
        if codes.region_modifier:
            item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_code(codes.region_modifier)]
    return item


def _interpreted_type(codes: Codes) -> str | None:
    if codes.kind[0] in _TUMORS:
        return "GTV"
    return "ORGAN" if codes.category[0] in _ORGAN_CATEGORIES and codes.kind[0] not in _NO_ORGANS else None


def _code(triple: Triple) -> Dataset:
    value, scheme, meaning = triple
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**values: Any) -> Dataset:
    from pydicom.dataset import Dataset  # noqa: PLC0415

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
