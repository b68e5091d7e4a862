"""BTCV, "Beyond the Cranial Vault": `RawData/Training` with `img/img0001.nii.gz` and `label/label0001.nii.gz`."""

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
    10: "portal vein and splenic vein",
    11: "pancreas",
    12: "right adrenal gland",
    13: "left adrenal gland",
}
_FOLDERS = (("img", "label"), ("imagesTr", "labelsTr"))


def find_btcv(folder: Path) -> FoundSet:
    """Read the layout; `folder` is `Training` or a folder above it. Many keep it as `imagesTr` and `labelsTr`.

    Raises:
        ImageError: If it is not such a folder.
    """
    found = [(place, pair) for pair in _FOLDERS if (place := find_place(folder, *pair))]
    if not found:
        raise no_layout(folder, "BTCV", "img and label, or RawData/Training with them")
    training, (images, labels) = found[0]
    cases = []
    for label in image_files(training / labels):
        number = stem(label).removeprefix("label")
        cases.append(FoundCase(f"btcv_{number}", training / images / f"img{number}.nii.gz", label))
    return FoundSet("btcv", _LABELS, cases, annotated=list(_LABELS.values()))
