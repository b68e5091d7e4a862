"""Label map `.nii.gz` on the grid of the scan, with a JSON file of its label names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.io.atomic import atomic_output
from dsm.io.formats import LABEL_MAP
from dsm.io.json_file import json_bytes
from dsm.io.nifti import write_nifti
from dsm.io.segment_record import SegmentRecord, check_records

_OVERLAP = "Where segments overlap, the voxel has the value of the last one in this list; .seg.nrrd keeps all of them."


def labels_path(path: str | os.PathLike[str]) -> Path:
    """Return the file of the names of a label map: `out.json` for `out.nii.gz`."""
    return LABEL_MAP.files(Path(path))[-1]


def write_labelmap(path: str | os.PathLike[str], records: Sequence[SegmentRecord], volume: Volume) -> Path:
    """Write a label map and, beside it, a JSON file; both or neither.

    The first record has the value 1. A voxel holds one value, so where segments overlap the last record wins; the JSON
    says so and counts what each segment lost.

    Args:
        path: A file `.nii.gz`.
        records: The segments.
        volume: Whose grid the masks are on.

    Returns:
        The JSON file: `{"labelmap", "overlap", "labels": [{"value", "name", "color", "terminology", "tags", "voxels",
        "hidden_voxels"}]}`; `voxels` are those of the segment, `hidden_voxels` those that a later one took.

    Raises:
        ShapeError: If a mask reaches outside of the grid.
        OutputError: If the files cannot be written, or the name does not end in `.nii.gz`.
    """
    target = Path(path)
    if not target.name.endswith(LABEL_MAP.suffix):
        raise OutputError(f"{target} is not a label map file.", code="output.format", hint="Name it .nii.gz.")
    check_records(records, volume)
    labels = _paint(records, volume)
    json_path = labels_path(target)
    with atomic_output(target) as part, atomic_output(json_path) as json_part:
        json_part.write_bytes(json_bytes(_describe(target, records, labels)))
        write_nifti(
            part, CroppedArray(labels, (0, 0, 0)), volume.shape, volume.affine, geometry=volume.nifti, is_label=True
        )
    return json_path


def _paint(records: Sequence[SegmentRecord], volume: Volume) -> np.ndarray:
    dtype = np.uint8 if len(records) <= np.iinfo(np.uint8).max else np.uint16
    labels = np.zeros(volume.shape, dtype=dtype, order="F")
    for value, record in enumerate(records, start=1):
        labels[record.mask.box.slices][record.mask.array != 0] = value
    return labels


def _describe(target: Path, records: Sequence[SegmentRecord], labels: np.ndarray) -> dict[str, Any]:
    described = []
    for value, record in enumerate(records, start=1):
        voxels = record.mask.num_voxels
        seen = int(np.count_nonzero(labels[record.mask.box.slices] == value))
        described.append(
            {
                "value": value,
                "name": record.name,
                "color": list(record.color),
                "terminology": record.terminology_tag,
                "tags": dict(record.tags),
                "voxels": voxels,
                "hidden_voxels": voxels - seen,
            }
        )
    return {"labelmap": target.name, "overlap": _OVERLAP, "labels": described}
