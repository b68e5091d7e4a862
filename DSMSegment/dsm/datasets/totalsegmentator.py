"""TotalSegmentator: `s0000` with `ct.nii.gz` (or `mri.nii.gz`) and one mask a class in `segmentations`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, image_files, no_layout, stem
from dsm.errors import ImageError
from dsm.io.image import read_volume
from dsm.text.vocabulary import load_vocabulary

_IMAGES = {"ct.nii.gz": "CT", "mri.nii.gz": "MR"}
_MOST_CLASSES = 255


def find_totalsegmentator(folder: Path) -> FoundSet:
    """Read the layout; `folder` holds the cases, or a folder with them. The masks of a case become one label map.

    Class names are looked up in the vocabulary ("rib_left_1" is "left rib 1"); those it does not know keep theirs and
    are not annotated. Lungs and ribs are unions of their parts, kidneys of kidney and cyst.

    Raises:
        ImageError: If it is not such a folder.
    """
    cases = [
        (masks.parent, image)
        for pattern in ("*/segmentations", "*/*/segmentations")
        for masks in sorted(folder.glob(pattern))
        for image in _IMAGES
        if (masks.parent / image).is_file()
    ]
    classes = sorted({stem(mask) for case, _ in cases for mask in image_files(case / "segmentations")})
    if not classes or len(classes) > _MOST_CLASSES:
        raise no_layout(folder, "TotalSegmentator", "folders s0000 with ct.nii.gz and segmentations")
    names = {name: _our_name(name) for name in classes}
    ids = {name: label_id for label_id, name in enumerate(classes, start=1)}
    labels = {ids[name]: ours or name for name, ours in names.items()}
    union = _unions(list(labels.values()))
    return FoundSet(
        "totalsegmentator",
        labels,
        [
            FoundCase(case.name, case / image, partial(_merged, case / "segmentations", ids), _IMAGES[image])
            for case, image in cases
        ],
        annotated=list(dict.fromkeys([ours for ours in names.values() if ours] + list(union))),
        union=union,
    )


def _our_name(name: str) -> str | None:
    structure = load_vocabulary().find(name.replace("_", " "))
    return structure.name if structure else None


def _unions(names: list[str]) -> dict[str, list[str]]:
    found = {"ribs": [name for name in names if " rib " in name]}
    for side in ("left", "right"):
        found[f"{side} lung"] = [name for name in names if name.startswith(f"{side} lung ")]
        found[f"{side} kidney"] = [name for name in names if name in {f"{side} kidney", f"{side} kidney cyst"}]
    return {whole: parts for whole, parts in found.items() if len(parts) > 1}


def _merged(folder: Path, ids: dict[str, int]) -> Volume:
    """One label map of all masks. They do not overlap, but for rounding; there the later class has the voxel."""
    merged: np.ndarray | None = None
    affine = np.eye(4)
    for path in image_files(folder):
        mask = read_volume(path, modality="CT")
        if merged is None:
            merged, affine = np.zeros(mask.shape, dtype=np.uint8, order="F"), mask.affine
        if mask.shape != merged.shape:
            raise ImageError(f"{path} has another size than the masks beside it.", hint="Download the case again.")
        merged[mask.array > 0] = ids[stem(path)]
    if merged is None:
        raise ImageError(f"{folder} holds no mask.", hint="Download the case again.")
    return Volume(merged, affine, "CT", folder.parent.name)
