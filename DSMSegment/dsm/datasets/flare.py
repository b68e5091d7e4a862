"""FLARE 2022 and 2023: an image `X_0000.nii.gz` and a label `X.nii.gz`, in folders beside each other."""

from __future__ import annotations

from pathlib import Path

from dsm.datasets.found_set import FoundCase, FoundSet, image_files, no_layout, stem

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
# Folder of the images beside each folder of labels.
_FOLDERS = {"labels": "images", "labelsTr": "imagesTr", "labelsTr2200": "imagesTr2200", "labelsVal": "imagesVal"}
_PARTIAL = {"labelsTr2200"}


def find_flare(folder: Path) -> FoundSet:
    """Read the layout.

    The 2200 scans of 2023 come from sets with different labels: there a name is known only in the cases that have it.
    Their label 14 is any tumor; which organ it grows in is not said, so it is part of no organ.

    Raises:
        ImageError: If it is not such a folder.
    """
    places = [name for name in _FOLDERS if image_files(folder / name)]
    if not places:
        raise no_layout(folder, "FLARE", "images and labels, or imagesTr2200 and labelsTr2200")
    cases = [
        FoundCase(stem(label), folder / _FOLDERS[place] / f"{stem(label)}_0000.nii.gz", label)
        for place in places
        for label in image_files(folder / place)
    ]
    is_partial = bool(_PARTIAL.intersection(places))
    labels = _LABELS | _TUMOR if is_partial else _LABELS
    return FoundSet("flare", labels, cases, annotated=list(labels.values()), complete=not is_partial)
