"""Manifest of a partially labelled data set: cases, annotated names per case, and the split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsm.errors import ImageError

MANIFEST = "dataset.json"
_SPLITS = ("training", "validation")
VALIDATION_EVERY = 5  # case `index % 5 == 4` of each set, in the manifest's order


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One line of a manifest, nothing loaded yet.

    Attributes:
        case_id: Name of the case.
        image: Image file; the label file where there is no image (`has_image`).
        label: Label file.
        modality: `"CT"` or `"MR"`.
        targets: Label ids that make up each annotated name (an organ with a tumor is the union of both).
        validation: Whether the case belongs to the validation split.
        names: Name of each label id, annotated or not.
    """

    case_id: str
    image: Path
    label: Path
    modality: str
    targets: dict[str, tuple[int, ...]]
    validation: bool
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def has_image(self) -> bool:
        """False for a label map alone."""
        return self.image != self.label


def read_manifest(folder: Path | str, *, labels_alone: bool = False) -> list[CaseEntry]:
    """List the cases of a data set.

    Args:
        folder: Folder with `dataset.json`: `labels` {id: name}, `annotated` names, `union` {name: parts}, and `cases`
            with `id`, `image`, `label`, `modality` and `present` {name: voxels}. `complete: false` says that a name is
            annotated only in the cases where it is present. A case may say itself which of the `annotated` names hold
            for it (`annotated`: those, present or absent; all else is unknown) and where it belongs (`split`:
            `"training"` or `"validation"`, in place of every fifth case).
        labels_alone: Also list cases without `image`.

    Raises:
        ImageError: If there is no manifest, or it is not one.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise ImageError(f"{folder} has no {MANIFEST}.", hint="Give a folder with a manifest (docs/reference/data.md).")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        ids = {name: int(label_id) for label_id, name in manifest["labels"].items()}
        names = {label_id: name for name, label_id in ids.items()}
        unions = manifest.get("union", {})
        targets = {name: tuple(ids[part] for part in unions.get(name, [name])) for name in manifest["annotated"]}
        return [
            CaseEntry(
                case_id=case["id"],
                image=folder / case.get("image", case["label"]),
                label=folder / case["label"],
                modality=case["modality"].split()[0],  # "MR T2" is an MR
                targets={name: labels for name, labels in targets.items() if _is_annotated(name, case, manifest)},
                validation=_is_for_validation(index, case),
                names=names,
            )
            for index, case in enumerate(manifest["cases"])
            if labels_alone or "image" in case
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImageError(f"{path} is not a manifest: {error!r}.", hint="See docs/reference/data.md.") from error


def _is_for_validation(index: int, case: Mapping[str, Any]) -> bool:
    split = case.get("split")
    if split is None:
        return index % VALIDATION_EVERY == VALIDATION_EVERY - 1
    if split not in _SPLITS:
        raise ValueError(f"split {split!r} of case {case['id']!r}, not {' or '.join(_SPLITS)}")
    return bool(split == "validation")


def _is_annotated(name: str, case: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    if "annotated" in case:
        return name in case["annotated"]
    # The openkbp set has no `complete` key, and not every organ in every case.
    complete = manifest.get("complete", manifest["name"] != "openkbp")
    return bool(complete) or name in case.get("present", {})
