"""Segmentation output in one import: Slicer segmentation, DICOM objects, label map, probability maps."""

from __future__ import annotations

from dsm.io.dicom_seg import write_dicom_seg
from dsm.io.labelmap import labels_path, write_labelmap
from dsm.io.probabilities import write_probabilities
from dsm.io.rtstruct import write_rtstruct
from dsm.io.seg_nrrd import write_seg_nrrd
from dsm.io.segment_record import SegmentRecord

__all__ = [
    "SegmentRecord",
    "labels_path",
    "write_dicom_seg",
    "write_labelmap",
    "write_probabilities",
    "write_rtstruct",
    "write_seg_nrrd",
]
