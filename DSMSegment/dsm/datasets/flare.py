"""FLARE 2022 and 2023: an image `X_0000.nii.gz` and a label `X.nii.gz`, in folders beside each other."""

from __future__ import annotations

from pathlib import Path

from dsm.datasets.found_set import FoundCase, FoundSet, find_place, image_files, no_layout, stem

_LABELS = {
    1: "liver",
    2: "right kidney",
    3: "spleen",
    4: "pancreas",
    5: "aorta",
    6: "inferior vena cava",
    7: "right adrenal gland",
    8: "left adrenal gland",
    9: "gallbladder",
    10: "esophagus",
    11: "stomach",
    12: "duodenum",
    13: "left kidney",
}
_TUMOR = {14: "tumor"}
# Folders of images and of labels, and whether the labels are partial.
_FOLDERS = (("images", "labels", False), ("imagesTr", "labelsTr", False), ("imagesTr2200", "labelsTr2200", True))


def find_flare(folder: Path) -> FoundSet:
    """Read the layout.

    The 2200 scans of 2023 come from sets with different labels: there a name is known only in the cases that have it.
    Their label 14 is any tumor; which organ it grows in is not said, so it is part of no organ.

    Raises:
        ImageError: If it is not such a folder.
    """
    found = [(place, *pair) for pair in _FOLDERS if (place := find_place(folder, *pair[:2], depth=1))]
    if not found:
        raise no_layout(folder, "FLARE", "images and labels, or imagesTr2200 and labelsTr2200")
    cases = [
        FoundCase(stem(label), place / images / f"{stem(label)}_0000.nii.gz", label)
        for place, images, labels, _ in found
        for label in image_files(place / labels)
    ]
    is_partial = any(partial for *_, partial in found)
    names = _LABELS | _TUMOR if is_partial else _LABELS
    return FoundSet("flare", names, cases, annotated=list(names.values()), complete=not is_partial)
