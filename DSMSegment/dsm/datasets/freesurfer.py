"""Subjects of FreeSurfer: `SUBJECT/mri/T1.mgz` and the volume labels `aseg.mgz`, which its software made.

References:
    Fischl et al., Whole brain segmentation: automated labeling of neuroanatomical structures in the human brain,
    Neuron 33, 2002.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, find_place, no_layout
from dsm.errors import ImageError, MissingDependencyError

SIDES = ("left", "right")
#: Numbers of FreeSurfer's colour table, FreeSurferColorLUT.txt; below, those of the left and the right side.
MIDLINE = {
    14: "third ventricle",
    15: "fourth ventricle",
    16: "brainstem",
    24: "cerebrospinal fluid",
    72: "fifth ventricle",
    85: "optic chiasm",
}
PAIRS = {
    (2, 41): "cerebral white matter",
    (3, 42): "cerebral cortex",
    (4, 43): "lateral ventricle",
    (5, 44): "inferior lateral ventricle",
    (7, 46): "cerebellar white matter",
    (8, 47): "cerebellar cortex",
    (10, 49): "thalamus",
    (11, 50): "caudate nucleus",
    (12, 51): "putamen",
    (13, 52): "globus pallidus",
    (17, 53): "hippocampus",
    (18, 54): "amygdala",
    (26, 58): "nucleus accumbens",
    (28, 60): "ventral diencephalon",
    (30, 62): "vessel",
}
_ASEG_MIDLINE = {77: "white matter lesion", 80: "hypointensity", 251: "corpus callosum"}
_ASEG_PAIRS = {(31, 63): "choroid plexus"}
_SAME = {9: 10, 48: 49, 78: 77, 79: 77, 81: 80, 82: 80, 252: 251, 253: 251, 254: 251, 255: 251}
_NUCLEI = ("thalamus", "caudate nucleus", "putamen", "globus pallidus", "hippocampus", "amygdala", "nucleus accumbens")
_IMAGES = ("T1.mgz", "brain.mgz", "orig.mgz")


def find_freesurfer(folder: Path) -> FoundSet:
    """Read the layout: a folder of subjects, or one subject.

    Raises:
        ImageError: If it is not such a folder.
    """
    place = find_place(folder, "mri", depth=2)
    subjects = [] if place is None else [place] if place == folder else sorted(place.parent.iterdir())
    cases = [
        FoundCase(subject.name, partial(_read_mgz, image), partial(_label_map, subject / "mri" / "aseg.mgz"), "MR")
        for subject in subjects
        if (subject / "mri" / "aseg.mgz").is_file() and (image := _image(subject / "mri"))
    ]
    if not cases:
        raise no_layout(folder, "FreeSurfer", "subjects with mri/aseg.mgz and mri/T1.mgz, brain.mgz or orig.mgz")
    labels = {**MIDLINE, **_ASEG_MIDLINE, **sided({**PAIRS, **_ASEG_PAIRS})}
    unions = wholes(labels)
    return FoundSet("freesurfer", labels, cases, annotated=[*parts_with_codes(), *unions], union=unions)


def sided(pairs: Mapping[tuple[int, int], str]) -> dict[int, str]:
    """Names of both sides of pairs, by their numbers."""
    return {n: f"{side} {name}" for ids, name in pairs.items() for n, side in zip(ids, SIDES, strict=True)}


def parts_with_codes() -> list[str]:
    """Names of FreeSurfer's parts that the vocabulary has."""
    nuclei = [f"{side} {name}" for name in _NUCLEI if name != "nucleus accumbens" for side in SIDES]
    return ["third ventricle", "fourth ventricle", "brainstem", *nuclei]


def wholes(labels: Mapping[int, str]) -> dict[str, list[str]]:
    """Return what parts make up: ventricles with plexus and temporal horn, cerebellum, tissues, the brain.

    Args:
        labels: Names of the parts that the maps have.
    """
    ventricles = {f"{side} lateral ventricle": _containing(labels, side, ("lateral", "choroid")) for side in SIDES}
    return {
        **ventricles,
        "brain ventricles": _containing(labels, "", ("ventricle", "choroid")),
        "cerebellum": _containing(labels, "", ("cerebellar",)),
        "white matter": _containing(labels, "", ("white matter", "corpus callosum")),
        "gray matter": _containing(labels, "", ("cortex", *_NUCLEI)),
        "brain": [name for name in labels.values() if name != "cerebrospinal fluid"],
    }


def _containing(labels: Mapping[int, str], side: str, words: tuple[str, ...]) -> list[str]:
    return [name for name in labels.values() if name.startswith(side) and any(word in name for word in words)]


def _image(folder: Path) -> Path | None:
    return next((folder / name for name in _IMAGES if (folder / name).is_file()), None)


def _read_mgz(path: Path) -> Volume:
    try:
        import nibabel as nib
        from nibabel.filebasedimages import ImageFileError
    except ImportError as error:
        raise MissingDependencyError(f"{path} needs the package nibabel.", hint="pip install nibabel") from error
    try:
        image = nib.MGHImage.from_filename(path)
        return Volume(np.asarray(image.dataobj), np.asarray(image.affine, dtype=np.float64), "MR", path.name)
    except (OSError, ValueError, ImageFileError) as error:
        raise ImageError(f"{path} cannot be read.", hint="Download it again.", details=str(error)) from error


def _label_map(path: Path) -> Volume:
    volume = _read_mgz(path)
    label = volume.array.astype(np.int32)
    for old, new in _SAME.items():
        label[label == old] = new
    if label.max() > 255:
        raise ImageError(
            f"{path} has the label {label.max()}, which is none of FreeSurfer's volumes.",
            code="dataset.label",
            hint="It may hold a parcellation of the cortex (aparc+aseg.mgz); aseg.mgz is needed.",
        )
    return Volume(label.astype(np.uint8), volume.affine, "MR", path.name)
