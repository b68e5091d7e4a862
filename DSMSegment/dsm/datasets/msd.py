"""Medical Segmentation Decathlon: `TaskNN_Name` with `dataset.json`, `imagesTr` and `labelsTr`."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, find_place, no_layout, stem
from dsm.errors import ImageError
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary

# What the labels of the ten tasks are called here; None is a part that has no name here. The names of a task are
# unlike those of every other, so they tell which task it is, whatever its folder is called.
_NAMES: tuple[dict[str, str | None], ...] = (
    {"edema": "peritumoral edema", "non-enhancing tumor": None, "enhancing tumour": None},
    {"left atrium": "left atrium"},
    {"liver": "liver", "cancer": "liver tumor"},
    {"anterior": "anterior hippocampus", "posterior": "posterior hippocampus"},
    {"pz": None, "tz": None},
    {"cancer": "lung tumor"},
    {"pancreas": "pancreas", "cancer": "pancreatic tumor"},
    {"vessel": "hepatic vessel", "tumour": "liver tumor"},
    {"spleen": "spleen"},
    {"colon cancer primaries": "colon tumor"},
)
_TASKS = {frozenset(names): names for names in _NAMES}
# Wholes whose parts have no name here.
_WHOLES = {
    "brain tumor": ("non-enhancing tumor", "enhancing tumour"),
    "prostate": ("pz", "tz"),
}


def find_msd(folder: Path) -> FoundSet:
    """Read the layout of one task.

    Images of several sequences (brain: FLAIR first; prostate: T2 first) are stored as 4-D files: the first is written
    as a file of its own. Other sets in this layout work if the vocabulary knows their names.

    Raises:
        ImageError: If it is not such a folder, or a name of a label is unknown.
    """
    try:
        folder = find_place(folder, "dataset.json", depth=1) or folder
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        training, modality = content["training"], content["modality"]
        names = {int(label_id): str(name).casefold() for label_id, name in content["labels"].items() if int(label_id)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise no_layout(folder, "Decathlon", "the dataset.json of a task, with imagesTr and labelsTr") from error
    labels = _our_names(names)
    union = _organs_with_tumors(list(labels.values()))
    union |= {name: parts for name, parts in _WHOLES.items() if set(parts) <= set(labels.values())}
    named = [name for name in labels.values() if load_vocabulary().get(name)]
    return FoundSet(
        name=f"msd_{str(content.get('name', folder.name)).casefold().replace(' ', '_')}",
        labels=labels,
        cases=[_case(folder, entry, modality) for entry in training],
        annotated=list(dict.fromkeys([*named, *union])),
        union=union,
    )


def _our_names(names: Mapping[int, str]) -> dict[int, str]:
    if task := _TASKS.get(frozenset(names.values())):
        return {label_id: task[name] or name for label_id, name in names.items()}
    return {label_id: _known_name(name, names.values()) for label_id, name in names.items()}


def _known_name(name: str, beside: Iterable[str]) -> str:
    """The vocabulary's name; "tumor" beside one organ is the tumor of that organ."""
    organs = [organ for other in beside if (organ := load_vocabulary().find(other)) and organ.kind == "organ"]
    prompts = parse_prompts([name])
    if len(organs) == 1 and prompts[0].kind == "tumor":
        prompts = parse_prompts([f"{organs[0].name} {name}"])
    if len(prompts) > 1 or prompts[0].structure is None:
        raise ImageError(
            f"The label {name!r} is not one thing of the vocabulary.",
            code="dataset.name",
            hint="Rename it in dataset.json; `dsm vocabulary WORD` lists the names.",
        )
    return prompts[0].name


def _organs_with_tumors(names: list[str]) -> dict[str, Sequence[str]]:
    """The mask of an organ is the union with the lesions that can only be in it."""
    union: dict[str, Sequence[str]] = {}
    for name in names:
        structure = load_vocabulary().get(name)
        hosts = [host for host in (structure.hosts if structure else ()) if host in names]
        if len(hosts) == 1:
            union[hosts[0]] = [*union.get(hosts[0], hosts), name]
    return union


def _case(folder: Path, entry: Mapping[str, str], modality: Mapping[str, Any]) -> FoundCase:
    image, label = folder / entry["image"], folder / entry["label"]
    is_ct = "CT" in {str(name) for name in modality.values()}
    return FoundCase(
        stem(image), partial(_first_sequence, image) if len(modality) > 1 else image, label, "CT" if is_ct else "MR"
    )


def _first_sequence(path: Path) -> Volume:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        reader.SetExtractSize([*reader.GetSize()[:3], 0])
        image = reader.Execute()
    except RuntimeError as error:
        raise ImageError(f"{path} cannot be read.", hint="Download it again.", details=str(error)) from error
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1.0, -1, 1, 1]) @ affine, "MR", path.name)
