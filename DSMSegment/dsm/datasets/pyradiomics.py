"""Example scans in the source package of PyRadiomics 3.0.1: two lung tumors on CT, two brain tumors on MR."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, no_layout
from dsm.io.image import read_volume

_LABELS = {1: "lung tumor", 2: "brain tumor"}
_CASES = {"lung1": ("CT", 1), "lung2": ("CT", 1), "brain1": ("MR", 2), "brain2": ("MR", 2)}


def find_pyradiomics(folder: Path) -> FoundSet:
    """Read the layout; `folder` is the unpacked source package or its folder `data`.

    Each scan has one mask, always of label 1; what it is, the file's name says.

    Raises:
        ImageError: If it is not such a folder.
    """
    place = folder / "data" if (folder / "data").is_dir() else folder
    if not all((place / f"{name}_label.nrrd").is_file() for name in _CASES):
        raise no_layout(folder, "PyRadiomics source", "data with lung1_image.nrrd and lung1_label.nrrd")
    cases = [
        FoundCase(name, place / f"{name}_image.nrrd", partial(_mask, place / f"{name}_label.nrrd", label_id), modality)
        for name, (modality, label_id) in _CASES.items()
    ]
    return FoundSet("pyradiomics", _LABELS, cases, annotated=list(_LABELS.values()), complete=False)


def _mask(path: Path, label_id: int) -> Volume:
    mask = read_volume(path, modality="CT")
    return Volume(np.where(mask.array == 1, np.uint8(label_id), np.uint8(0)), mask.affine, "CT", path.name)
