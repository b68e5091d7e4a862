"""Segments as a run makes them, for the writers of DICOM objects."""

from __future__ import annotations

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.io.segment_record import SegmentRecord
from dsm.text.vocabulary import load_vocabulary

TAGS = {
    "DICOM.SegmentAlgorithmType": "AUTOMATIC",
    "DICOM.SegmentAlgorithmName": "DSMSegment dsm-tiny 0.1",
    "DSM.Version": "0.1",
    "DSM.Prompt": "left kidney",
    "DSM.Device": "",
}


def record(name: str, mask: np.ndarray, **changes: object) -> SegmentRecord:
    """Return a segment with the code of its name, if it has one."""
    structure = load_vocabulary().find(name)
    terminology = structure.terminology.to_tag() if structure else ""
    fields = {"color": (200, 100, 50), "terminology_tag": terminology, "tags": TAGS} | changes
    return SegmentRecord(name, CroppedArray.from_mask(mask), **fields)
