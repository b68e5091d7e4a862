"""Label maps of heads that SynthSeg was trained on: 20 adults in 1 mm, without images.

They are in the repository of SynthSeg (github.com/BBillot/SynthSeg, Apache-2.0), `data/training_label_maps`: FreeSurfer
labels of the brain, and of the rest of the head from an atlas.

References:
    Billot et al., SynthSeg: segmentation of brain MRI scans of any contrast and resolution without retraining,
    Medical Image Analysis 86, 2023.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dsm.core.boxes import bounding_box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.datasets.found_set import FoundCase, FoundSet, find_place, image_files, no_layout, stem
from dsm.datasets.freesurfer import MIDLINE, PAIRS, parts_with_codes, sided, wholes
from dsm.errors import ImageError
from dsm.io.image import read_volume

_OWN_PAIRS = {(25, 57): "white matter lesion", (136, 163): "choroid plexus", (137, 164): "inferior choroid plexus"}
# Numbers above 255, of the rest of the head, get others.
_REST = {
    502: (102, "arteries of the head"),
    507: (107, "soft tissue of the head"),
    508: (108, "eye muscles"),
    509: (109, "mucosa"),
    511: (111, "skin"),
    512: (112, "spinal cord"),
    514: (114, "veins of the head"),
    515: (115, "cortical bone of the skull"),
    516: (116, "cancellous bone of the skull"),
    530: (120, "optic nerve"),
}
_EYE = 506
_EYES = {121: "right eyeball", 122: "left eyeball"}
_MARGIN = 2  # voxels of air kept around the head


def find_synthseg(folder: Path) -> FoundSet:
    """Read the layout: a checkout of the repository, or its folder `training_label_maps`.

    Raises:
        ImageError: If it is not such a folder.
    """
    place = find_place(folder, "training_label_maps")
    files = image_files(place / "training_label_maps" if place else folder)
    if not files:
        raise no_layout(folder, "SynthSeg", "data/training_label_maps with training_seg_01.nii.gz")
    brain = {**MIDLINE, **sided({**PAIRS, **_OWN_PAIRS})}
    unions = {**wholes(brain), "skull": ["cortical bone of the skull", "cancellous bone of the skull"]}
    return FoundSet(
        name="synthseg",
        labels={**brain, **dict(_REST.values()), **_EYES},
        cases=[FoundCase(stem(path), None, partial(_label_map, path), "MR") for path in files],
        annotated=[*parts_with_codes(), "spinal cord", *_EYES.values(), *unions],
        union=unions,
    )


def _label_map(path: Path) -> Volume:
    """The head in RAS order, cut out, with numbers below 256 and the eyes apart."""
    volume = read_volume(path, modality="MR")
    orientation = Orientation.of(volume.affine)
    label = np.ascontiguousarray(orientation.to_ras(volume.array)).astype(np.uint16)
    head = bounding_box(label)
    if head is None:
        raise ImageError(f"{path} holds no label.", code="dataset.label", hint="Download it again.")
    affine = orientation.affine_to_ras(volume.affine, volume.shape)
    middle = np.argwhere(np.isin(label, list(MIDLINE)))[:, 0].mean()
    is_eye = label == _EYE
    numbers = np.arange(label.max() + 1, dtype=np.uint16)
    for old, (new, _) in _REST.items():
        if old < len(numbers):
            numbers[old] = new
    label = numbers[label]
    to_the_right = (np.arange(label.shape[0]) > middle)[:, None, None]
    right, left = _EYES
    label = np.where(is_eye, np.where(to_the_right, right, left), label).astype(np.uint8)
    box = head.grow(_MARGIN).clip(label.shape)
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ box.start
    return Volume(label[box.slices], affine, "MR", path.name)
