"""Consistency checks of a data set, before training or evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.datasets.fingerprint import SAME_SCAN, Fingerprint, fingerprint
from dsm.errors import DSMError
from dsm.io.image import read_volume
from dsm.io.manifest import MANIFEST, CaseEntry, read_manifest
from dsm.text.prompt import parse_prompts

_SAME_PLACE_MM = 0.1  # rounding of headers


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency.

    Args:
        where: Data set, and case if it is one case's.
        what: In a sentence.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check_sets(folders: Sequence[Path]) -> Iterator[Problem]:
    """Check data sets, and for scans that occur twice in them.

    Args:
        folders: Each with a `dataset.json`.

    Yields:
        Problems, as they are found. Every image and label is read.

    Raises:
        ImageError: If a folder has no manifest that can be read.
    """
    seen: list[tuple[str, Fingerprint]] = []
    for folder in folders:
        entries = read_manifest(folder)
        yield from _check_names(folder, entries)
        known_ids = _known_ids(folder)
        for entry in entries:
            where = f"{folder.name}/{entry.case_id}"
            try:
                volume = read_volume(entry.image, modality=entry.modality)
                label = read_volume(entry.label, modality=entry.modality)
            except DSMError as error:
                yield Problem(where, error.one_line)
                continue
            yield from _check_case(where, entry, known_ids, volume, label)
            mark = fingerprint(volume)
            yield from _check_twin(where, mark, seen)
            seen.append((where, mark))


def _check_names(folder: Path, entries: Sequence[CaseEntry]) -> Iterator[Problem]:
    ids = [entry.case_id for entry in entries]
    for case_id in sorted({case_id for case_id in ids if ids.count(case_id) > 1}):
        yield Problem(folder.name, f"the id {case_id!r} is used {ids.count(case_id)} times.")
    for name in dict.fromkeys(name for entry in entries for name in entry.targets):
        prompts = parse_prompts([name])
        if len(prompts) > 1:
            yield Problem(folder.name, f"{name!r} means {' and '.join(prompt.name for prompt in prompts)}.")
        elif prompts[0].structure is None:
            yield Problem(folder.name, f"{name!r} is not in the vocabulary.")
        elif prompts[0].name != name:
            yield Problem(folder.name, f"{name!r} is called {prompts[0].name!r} in the vocabulary.")


def _known_ids(folder: Path) -> set[int]:
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return {int(label_id) for label_id in content["labels"]} | {0}


def _check_case(where: str, entry: CaseEntry, known: set[int], volume: Volume, label: Volume) -> Iterator[Problem]:
    if label.shape != volume.shape:
        yield Problem(where, f"the image has {_times(volume.shape)} voxels, its label {_times(label.shape)}.")
    elif (apart := _apart_mm(volume, label)) > _SAME_PLACE_MM:
        yield Problem(where, f"image and label lie up to {apart:.1f} mm apart.")
    ids = np.unique(label.array)
    if strange := [f"{label_id:g}" for label_id in ids if label_id not in known]:
        yield Problem(where, f"the label map has ids that the manifest does not name: {', '.join(strange[:10])}.")
    if not entry.targets:
        yield Problem(where, "no name is annotated.")
    if volume.modality == "CT" and volume.array.min() >= 0:
        yield Problem(where, "a CT without negative values is not in HU.")


def _apart_mm(volume: Volume, label: Volume) -> float:
    """The largest distance between the places of one corner voxel on both grids."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.shape], [1])).reshape(4, -1)
    return float(np.linalg.norm(((volume.affine - label.affine) @ corners)[:3], axis=0).max())


def _check_twin(where: str, mark: Fingerprint, seen: Sequence[tuple[str, Fingerprint]]) -> Iterator[Problem]:
    for other, theirs in seen:
        correlation = float(mark.values @ theirs.values)
        if mark.digest == theirs.digest:
            yield Problem(where, f"is the same scan as {other}.")
        elif correlation > SAME_SCAN:
            yield Problem(where, f"looks like {other} (correlation {correlation:.3f}).")


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
