"""Disk cache of loaded cases: a resumed run starts in seconds, and scans are memory-mapped."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from dsm.io.atomic import atomic_output
from dsm.io.manifest import CaseEntry
from dsm.training.cases import Case, load_case
from dsm.training.recipe import Source

_LAYOUT = 1  # of the files


def cached_case(
    entry: CaseEntry, windows_hu: tuple[tuple[float, float], ...], source: Source, *, seed: int, folder: Path
) -> Case:
    """Load a case, from the cache in `folder` if its settings and files are unchanged.

    Args:
        entry: The case.
        windows_hu: Intensity windows of the model.
        source: Says which pseudo-labels are added.
        seed: Of the choice of remembered voxels.
        folder: Of the stored cases; made if it does not exist.
    """
    path = folder / f"{entry.case_id}-{_key(entry, windows_hu, source, seed)}.pt"
    if path.is_file():
        stored = torch.load(path, weights_only=True, mmap=True)
        targets = {name: tuple(ids) for name, ids in stored["targets"].items()}
        return Case(
            entry=replace(entry, targets=targets),
            image=stored["image"],
            label=stored["label"],
            spacing_mm=tuple(stored["spacing_mm"]),  # type: ignore[arg-type]
            present=stored["present"],
        )
    digest = hashlib.sha256(f"{seed}/{entry.case_id}".encode()).digest()
    case = load_case(
        entry,
        windows_hu,
        rng=np.random.default_rng(list(digest)),
        add_lungs=source.add_lungs,
        add_soft_tissue=source.add_soft_tissue,
        add_skeleton=source.add_skeleton,
        add_brain_tissue=source.add_brain_tissue,
        add_body=source.add_body,
    )
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "image": case.image,
        "label": case.label,
        "spacing_mm": list(case.spacing_mm),
        "present": case.present,
        "targets": {name: list(ids) for name, ids in case.entry.targets.items()},
    }
    with atomic_output(path) as part:  # processes that share a run may load the same case
        torch.save(values, part)
    return case


def _key(entry: CaseEntry, windows_hu: tuple[tuple[float, float], ...], source: Source, seed: int) -> str:
    files = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (entry.image, entry.label)]
    flags = {key: value for key, value in asdict(source).items() if key.startswith("add_")}
    windows = tuple(tuple(float(value) for value in window) for window in windows_hu)
    parts = _LAYOUT, entry.modality, sorted(entry.targets.items()), windows, flags, seed, files
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
