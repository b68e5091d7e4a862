"""BTCV, "Beyond the Cranial Vault": `RawData/Training` with `img/img0001.nii.gz` and `label/label0001.nii.gz`."""

from __future__ import annotations

from pathlib import Path

from dsm.datasets.found_set import FoundCase, FoundSet, image_files, no_layout, stem

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


def find_btcv(folder: Path) -> FoundSet:
    """Read the layout; `folder` is `Training` or a folder above it.

    Raises:
        ImageError: If it is not such a folder.
    """
    places = [folder / place for place in (".", "Training", "RawData/Training", "Abdomen/RawData/Training")]
    training = next((place for place in places if (place / "label").is_dir() and (place / "img").is_dir()), None)
    if training is None:
        raise no_layout(folder, "BTCV", "img and label, or RawData/Training with them")
    labels = image_files(training / "label")
    cases = []
    for label in labels:
        number = stem(label).removeprefix("label")
        cases.append(FoundCase(f"btcv_{number}", training / "img" / f"img{number}.nii.gz", label))
    return FoundSet("btcv", _LABELS, cases, annotated=list(_LABELS.values()))
