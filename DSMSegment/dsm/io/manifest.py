"""Manifest of a partially labelled data set: cases, annotated names per case, and the split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
        image: Image file.
        label: Label file.
        modality: `"CT"` or `"MR"`.
        targets: Label ids that make up each annotated name (an organ with a tumor is the union of both).
        validation: Whether the case belongs to the validation split.
    """

    case_id: str
    image: Path
    label: Path
    modality: str
    targets: dict[str, tuple[int, ...]]
    validation: bool


def read_manifest(folder: Path | str) -> list[CaseEntry]:
    """List the cases of a data set.

    Args:
        folder: Folder with `dataset.json`: `labels` {id: name}, `annotated` names, `union` {name: parts}, and `cases`
            with `id`, `image`, `label`, `modality` and `present` {name: voxels}. `complete: false` says that a name is
            annotated only in the cases where it is present. A case may say itself which of the `annotated` names hold
            for it (`annotated`: those, present or absent; all else is unknown) and where it belongs (`split`:
            `"training"` or `"validation"`, in place of every fifth case). Cases without `image` are left out.

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
        unions = manifest.get("union", {})
        targets = {name: tuple(ids[part] for part in unions.get(name, [name])) for name in manifest["annotated"]}
        return [
            CaseEntry(
                case_id=case["id"],
                image=folder / case["image"],
                label=folder / case["label"],
                modality=case["modality"].split()[0],  # "MR T2" is an MR
                targets={name: labels for name, labels in targets.items() if _is_annotated(name, case, manifest)},
                validation=_is_for_validation(index, case),
            )
            for index, case in enumerate(manifest["cases"])
            if "image" in case  # labels alone are no case: see `dsm.training.painted_images`
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
