"""DICOM SEG output that references the source series; needs the extra `dicom`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsm._version import __version__
from dsm.core.boxes import Box
from dsm.core.extras import install_hint
from dsm.core.volume import Volume
from dsm.errors import MissingDependencyError
from dsm.io.atomic import atomic_output
from dsm.io.dicom_source import PROBE, explained, nothing_found, source_frames
from dsm.io.dicom_terms import (
    MAX_LABEL,
    algorithm_name,
    algorithm_parameters,
    algorithm_type,
    algorithm_version,
    codes_of,
    flags_of,
    label_of,
)
from dsm.io.segment_record import SegmentRecord, check_records

_SERIES_NUMBER = 300
_WHAT = "a DICOM SEG"


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
        raise nothing_found("DICOM SEG")
    segmentation = _segmentation(drawn, volume, files, description)
    with explained(_WHAT), atomic_output(path) as part:
        segmentation.save_as(part)


def check_source(volume: Volume, files: Sequence[str | os.PathLike[str]]) -> None:
    """Check, before a long run, that a DICOM SEG can reference a series; raises as `write_dicom_seg`."""
    _segmentation([PROBE], volume, files, PROBE.name)


def _segmentation(
    drawn: Sequence[SegmentRecord], volume: Volume, files: Sequence[str | os.PathLike[str]], description: str
) -> Any:
    hd = _highdicom()
    frames = source_frames(files, volume)
    datasets = [frame.header for frame in frames[: len(files)]]
    for dataset in datasets:
        if "PerFrameFunctionalGroupsSequence" not in dataset and not dataset.get("SliceThickness"):
            dataset.SliceThickness = f"{volume.spacing_mm[2]:.6g}"  # readers of a DICOM SEG need it
    with explained(_WHAT):
        segmentation = hd.seg.Segmentation(
            source_images=datasets,
            pixel_array=_frames(drawn, volume)[[frame.k for frame in frames]],
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
            content_description=description[:MAX_LABEL],
            series_description=description[:MAX_LABEL],
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
    codes = codes_of(record.terminology_tag)
    kind = algorithm_type(record)
    identification = None
    if kind != "MANUAL":
        identification = hd.AlgorithmIdentificationSequence(
            name=algorithm_name(record),
            family=hd.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
            version=algorithm_version(record),
            source="DSMSegment",
            parameters=algorithm_parameters(record) or None,
        )
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label_of(record.name),
        segmented_property_category=hd.sr.CodedConcept(*codes.category),
        segmented_property_type=hd.sr.CodedConcept(*codes.kind),
        algorithm_type=kind,
        algorithm_identification=identification,
        tracking_uid=hd.UID(),
        tracking_id=label_of(f"{number} {record.name}"),
        anatomic_regions=[hd.sr.CodedConcept(*codes.region)] if codes.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*record.color),
    )
    if codes.modifier:
        item = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept(*codes.modifier)]
    if codes.region and codes.region_modifier:
        region = description.AnatomicRegionSequence[0]
        region.AnatomicRegionModifierSequence = [hd.sr.CodedConcept(*codes.region_modifier)]
    if flags := flags_of(record):
        description.SegmentDescription = flags
    return description
