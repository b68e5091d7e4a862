"""A training case in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.body_box import find_body
from dsm.io.image import read_volume
from dsm.io.manifest import CaseEntry
from dsm.ops.intensity import mr_windows, window_channels, windows_of_scan
from dsm.training.lungs_from_air import lungs_from_air
from dsm.training.skeleton_from_density import skeleton_from_density
from dsm.training.soft_tissue_from_density import soft_tissue_from_density
from dsm.training.synthetic_images import add_other_tissue

SOFT_TISSUE = "soft tissue"
SKELETON = "skeleton"
BRAIN_TISSUE = "brain tissue"
_SOFT_TISSUE_ID = 253  # the manifests use small numbers
_SKELETON_ID = 251
_BRAIN_TISSUE_ID = 250
_LUNG_IDS = (254, 255)


@dataclass(frozen=True, slots=True)
class Case:
    """A loaded case in RAS order.

    Attributes:
        entry: Where it comes from.
        image: Intensity channels in [0, 1], as the network sees them, `(1, C, I, J, K)`; zeros for a label map alone.
        label: Label ids `(1, 1, I, J, K)`, uint8.
        spacing_mm: Voxel size.
        present: Annotated names that occur, with up to 4096 of their voxels `(n, 3)`.
    """

    entry: CaseEntry
    image: Tensor
    label: Tensor
    spacing_mm: tuple[float, float, float]
    present: dict[str, Tensor]


def load_case(
    entry: CaseEntry,
    windows_hu: Sequence[tuple[float, float]],
    *,
    rng: np.random.Generator,
    add_lungs: bool = False,
    add_soft_tissue: bool = False,
    add_skeleton: bool = False,
    add_brain_tissue: bool = False,
    add_body: bool = True,
) -> Case:
    """Read a case into memory, in RAS order.

    Args:
        entry: The case.
        windows_hu: Intensity windows of the model.
        rng: Chooses which voxels of large structures are remembered for placing crops.
        add_lungs: Add lungs from air as a pseudo-label (`dsm.training.lungs_from_air`).
        add_soft_tissue: Add `SOFT_TISSUE`, where lesions can be put (`dsm.training.soft_tissue_from_density`).
        add_skeleton: Add `SKELETON`, all bones (`dsm.training.skeleton_from_density`).
        add_brain_tissue: Add `BRAIN_TISSUE`, all that a skull-stripped MR shows, as a host of lesions.
        add_body: Fill the inside of the body of a label map alone (`dsm.training.synthetic_images.add_other_tissue`).
    """
    if not entry.has_image:
        return _label_map_alone(entry, len(windows_hu), rng, add_body=add_body)
    volume = read_volume(entry.image, modality=entry.modality)
    labels = read_volume(entry.label, modality=entry.modality)
    orientation = Orientation.of(volume.affine)
    image = torch.from_numpy(np.ascontiguousarray(orientation.to_ras(volume.array), dtype=np.float32))
    if entry.modality == "CT":
        windows = windows_of_scan(image, windows_hu)
    else:
        windows = mr_windows(image[image > find_body(volume).threshold], len(windows_hu))
    label, spacing = _in_ras(labels, volume.affine)
    channels = window_channels(image, windows)
    if add_lungs:
        entry = _with_lungs(entry, label, channels[0].numpy(), spacing)
    if add_skeleton:
        found = skeleton_from_density(image.numpy(), spacing.tolist())
        label[found & (label == 0)] = _SKELETON_ID
        entry = replace(entry, targets={**entry.targets, SKELETON: (_SKELETON_ID,)})
    if add_soft_tissue:
        found = soft_tissue_from_density(image.numpy(), spacing.tolist())
        label[found & (label == 0)] = _SOFT_TISSUE_ID
        entry = replace(entry, targets={**entry.targets, SOFT_TISSUE: (_SOFT_TISSUE_ID,)})
    if add_brain_tissue:
        labelled = np.unique(label[label > 0]).tolist()
        shown = (image > find_body(volume).threshold).numpy()
        label[shown & (label == 0)] = _BRAIN_TISSUE_ID
        entry = replace(entry, targets={**entry.targets, BRAIN_TISSUE: (*labelled, _BRAIN_TISSUE_ID)})
    return _case(entry, channels[None], label, spacing, rng)


def _label_map_alone(entry: CaseEntry, num_channels: int, rng: np.random.Generator, *, add_body: bool) -> Case:
    labels = read_volume(entry.label, modality="CT")
    label, spacing = _in_ras(labels, labels.affine)
    if add_body:
        label = add_other_tissue(label, spacing.tolist())
    return _case(entry, torch.zeros(1).expand(1, num_channels, *label.shape), label, spacing, rng)


def _in_ras(labels: Volume, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return label ids `[I, J, K]`, uint8, in RAS order, and their voxel size `(3,)` in mm; `affine` is the scan's."""
    label = np.ascontiguousarray(Orientation.of(affine).to_ras(labels.array)).astype(np.uint8)
    return label, np.linalg.norm(Orientation.of(affine).affine_to_ras(affine, labels.shape)[:3, :3], axis=0)


def _case(entry: CaseEntry, image: Tensor, label: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> Case:
    labelled = np.flatnonzero(label)  # labels fill a small part of a scan: it is searched once, not once a name
    ids = label.reshape(-1)[labelled]
    present = {}
    for name, label_ids in entry.targets.items():
        voxels = labelled[np.isin(np.arange(256), label_ids)[ids]]
        if len(voxels):
            chosen = voxels[rng.choice(len(voxels), size=min(4096, len(voxels)), replace=False)]
            present[name] = torch.from_numpy(np.stack(np.unravel_index(chosen, label.shape), axis=1)).float()
    return Case(
        entry=entry,
        image=image,
        label=torch.from_numpy(label)[None, None],
        spacing_mm=tuple(float(s) for s in spacing),  # type: ignore[arg-type]
        present=present,
    )


def _with_lungs(entry: CaseEntry, label: np.ndarray, image: np.ndarray, spacing: np.ndarray) -> CaseEntry:
    """Write the lungs that were found into free voxels of `label`; one that was not found stays unknown."""
    targets = dict(entry.targets)
    names = ("right lung", "left lung")
    for name, label_id, mask in zip(names, _LUNG_IDS, lungs_from_air(image, spacing.tolist()), strict=True):
        if mask.any():
            label[mask & (label == 0)] = label_id
            targets[name] = (label_id,)
    return replace(entry, targets=targets)
