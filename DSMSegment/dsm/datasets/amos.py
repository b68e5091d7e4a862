"""AMOS 2022: `imagesTr`, `labelsTr`, `imagesVa`, `labelsVa`; CT up to number 500, MR above."""

from __future__ import annotations

from pathlib import Path

from dsm.datasets.found_set import FoundCase, FoundSet, find_place, image_files, no_layout, stem

_LABELS = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "aorta",
    9: "inferior vena cava",
    10: "pancreas",
    11: "right adrenal gland",
    12: "left adrenal gland",
    13: "duodenum",
    14: "urinary bladder",
    15: "prostate or uterus",
}
# One label for two organs: a mask of either name would be wrong in half of the patients.
_AMBIGUOUS = {"prostate or uterus"}
_LAST_CT = 500


def find_amos(folder: Path) -> FoundSet:
    """Read the layout: the labelled cases of training and validation.

    Raises:
        ImageError: If it is not such a folder.
    """
    place = find_place(folder, "imagesTr", "labelsTr", depth=1)
    if place is None:
        raise no_layout(folder, "AMOS", "imagesTr and labelsTr")
    labels = [path for part in ("Tr", "Va") for path in image_files(place / f"labels{part}")]
    return FoundSet(
        "amos",
        _LABELS,
        [_case(place, label) for label in labels],
        annotated=[name for name in _LABELS.values() if name not in _AMBIGUOUS],
    )


def _case(place: Path, label: Path) -> FoundCase:
    image = place / label.parent.name.replace("labels", "images") / label.name
    digits = stem(label).rpartition("_")[2]
    modality = "MR" if digits.isdigit() and int(digits) > _LAST_CT else "CT"
    return FoundCase(stem(label), image, label, modality)
