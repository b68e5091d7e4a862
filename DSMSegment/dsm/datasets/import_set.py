"""Import of a data set: its manifest, and label maps where they must be rewritten."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.datasets.amos import find_amos
from dsm.datasets.btcv import find_btcv
from dsm.datasets.flare import find_flare
from dsm.datasets.found_set import FoundCase, FoundSet
from dsm.datasets.freesurfer import find_freesurfer
from dsm.datasets.kits import find_kits
from dsm.datasets.msd import find_msd
from dsm.datasets.pyradiomics import find_pyradiomics
from dsm.datasets.synthseg import find_synthseg
from dsm.datasets.totalsegmentator import find_totalsegmentator
from dsm.errors import ImageError, OutputError
from dsm.io.atomic import atomic_output
from dsm.io.image import read_volume
from dsm.io.json_file import write_json
from dsm.io.manifest import MANIFEST
from dsm.io.nifti import write_nifti

logger = logging.getLogger(__name__)

#: Reads each layout.
LAYOUTS: dict[str, Callable[[Path], FoundSet]] = {
    "msd": find_msd,
    "btcv": find_btcv,
    "kits": find_kits,
    "totalsegmentator": find_totalsegmentator,
    "amos": find_amos,
    "flare": find_flare,
    "pyradiomics": find_pyradiomics,
    "freesurfer": find_freesurfer,
    "synthseg": find_synthseg,
}


def import_set(layout: str, folder: Path | str, out: Path | str, *, split: str | None = None) -> dict[str, Any]:
    """Write `dataset.json` for a downloaded data set in `folder`.

    Files that can be used as they are stay where they are; the manifest names them relative to `out`. Label maps that
    had to be merged or renumbered go into `out/labels`, single sequences of 4-D images into `out/images`.

    Args:
        layout: One of `LAYOUTS`.
        folder: The data set.
        out: Folder to write into; made if it is not there.
        split: `"training"` or `"validation"` for all cases; None for validation of every fifth.

    Returns:
        The manifest.

    Raises:
        ImageError: If the folder has another layout, a file is missing or a label map has an unknown label.
        OutputError: If nothing can be written.
    """
    found = LAYOUTS[layout](Path(folder))
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror}.", hint="Choose another folder.") from error
    cases = []
    for case in found.cases:
        cases.append(_case_entry(found, case, out) | ({} if split is None else {"split": split}))
        logger.info("%s: %d of %d", case.case_id, len(cases), len(found.cases))
    occurring = {name for case in cases for name in case["present"]}
    manifest = {
        "name": found.name,
        "complete": found.complete,
        "labels": {str(label_id): name for label_id, name in found.labels.items()},
        # A name without any voxels may never have been annotated.
        "annotated": [name for name in found.annotated if name in occurring],
        "union": {whole: list(parts) for whole, parts in found.union.items()},
        "cases": cases,
    }
    write_json(out / MANIFEST, manifest)
    return manifest


def _case_entry(found: FoundSet, case: FoundCase, out: Path) -> dict[str, Any]:
    image = case.image
    if image is not None and not isinstance(image, Path):
        image = _written(image(), out / "images", case.case_id)
    if isinstance(case.label, Path):
        label_path, label = case.label, read_volume(case.label, modality=case.modality)
    else:
        label = case.label()
        label_path = _written(label, out / "labels", case.case_id, is_label=True)
    if image is not None and not image.is_file():
        raise ImageError(f"{image} is missing; {case.case_id} has a label only.", hint="Download it again.")
    return {
        "id": case.case_id,
        **({} if image is None else {"image": _relative(image, out)}),
        "label": _relative(label_path, out),
        "modality": case.modality,
        "shape": list(label.shape),
        "spacing_mm": [round(mm, 4) for mm in label.spacing_mm],
        "present": _present(found, case, label.array),
    }


def _present(found: FoundSet, case: FoundCase, label: np.ndarray) -> dict[str, int]:
    """Voxels of each annotated name that occurs."""
    ids, counts = np.unique(label, return_counts=True)
    voxels: dict[str, int] = {}
    for label_id, count in zip(ids, counts, strict=True):
        if label_id == 0:
            continue
        if int(label_id) not in found.labels or int(label_id) != label_id:
            raise ImageError(
                f"The label map of {case.case_id} has the label {label_id:g}, which {found.name} does not know.",
                code="dataset.label",
                hint="It may be of another year's set, or damaged.",
            )
        name = found.labels[int(label_id)]
        voxels[name] = voxels.get(name, 0) + int(count)
    sums = {name: sum(voxels.get(part, 0) for part in found.union.get(name, [name])) for name in found.annotated}
    return {name: count for name, count in sums.items() if count}


def _written(volume: Volume, folder: Path, name: str, *, is_label: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.nii.gz"
    with atomic_output(path) as part:
        write_nifti(part, CroppedArray(volume.array, (0, 0, 0)), volume.shape, volume.affine, is_label=is_label)
    return path


def _relative(path: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return path.resolve().as_posix()
