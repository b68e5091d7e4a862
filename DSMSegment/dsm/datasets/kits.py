"""KiTS 2019, 2021 and 2023: `case_00000` with `imaging.nii.gz` and a segmentation of both kidneys in one label."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, no_layout
from dsm.datasets.kidney_sides import is_left_of_body
from dsm.io.image import read_volume

# 2021 has one file a reader, and their majority.
_SEGMENTATIONS = ("segmentation.nii.gz", "aggregated_MAJ_seg.nii.gz")
_PARTS = ("kidney", "kidney tumor", "kidney cyst")  # ids 1, 2, 3 of the set
_SIDES = ("right", "left")
_LABELS = {1 + part + 3 * side: f"{_SIDES[side]} {_PARTS[part]}" for side in (0, 1) for part in (0, 1, 2)}
_UNION = {
    "right kidney": ["right kidney", "right kidney tumor", "right kidney cyst"],
    "left kidney": ["left kidney", "left kidney tumor", "left kidney cyst"],
    "kidney tumor": ["right kidney tumor", "left kidney tumor"],
    "kidney cyst": ["right kidney cyst", "left kidney cyst"],
}


def find_kits(folder: Path) -> FoundSet:
    """Read the layout; `folder` holds the cases, or a folder `data` or `dataset` with them.

    The kidneys get a side each (`dsm.datasets.kidney_sides`) and labels of their own. Cysts occur from 2021 on.

    Raises:
        ImageError: If it is not such a folder.
    """
    place = next((folder / name for name in ("dataset", "data") if (folder / name).is_dir()), folder)
    found = [
        (case, next((case / name for name in _SEGMENTATIONS if (case / name).is_file()), None))
        for case in sorted(place.glob("case_*"))
    ]
    labelled = [(case, label) for case, label in found if label is not None]
    if not labelled:
        raise no_layout(folder, "KiTS", "folders case_00000 with imaging.nii.gz and segmentation.nii.gz")
    return FoundSet(
        "kits",
        _LABELS,
        [
            FoundCase(f"kits_{case.name.removeprefix('case_')}", image, partial(_with_sides, image, label))
            for case, label in labelled
            for image in (case / "imaging.nii.gz",)
        ],
        annotated=list(_UNION),
        union=_UNION,
    )


def _with_sides(image_path: Path, label_path: Path) -> Volume:
    image = read_volume(image_path, modality="CT")
    label = read_volume(label_path, modality="CT")
    parts = label.array.astype(np.uint8)
    left = is_left_of_body(parts > 0, image)
    parts[left & (parts > 0)] += len(_PARTS)
    return Volume(parts, label.affine, "CT", label.name)
