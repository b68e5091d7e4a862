"""Cases for click training: every object with a border, whatever its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.core.boxes import Index3, bounding_box
from dsm.core.orientation import Orientation
from dsm.inference.body_box import find_body
from dsm.inference.click_window import soft_tissue_units
from dsm.inference.components import label_components
from dsm.io.image import read_volume
from dsm.io.manifest import CaseEntry

_SMALLEST_ML = 0.03
_SMALLEST_VOXELS = 20
_PARTS = 6  # of a name in a case, the largest
_LEVELS_MM = (2.5, 5.0)  # of the coarser copies of an image


@dataclass(frozen=True, slots=True, eq=False)
class ClickObject:
    """A connected component of a label.

    Args:
        name: Of the label.
        mask: Bool, cropped `(i, j, k)`.
        start: Voxel of the image where it lies.
        extent_mm: A length: the geometric mean of its longest edge and the diameter of a ball of its volume.
    """

    name: str
    mask: Tensor
    start: Index3
    extent_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A copy of an image, coarser by whole factors.

    Args:
        image: float16 `(i, j, k)` in units of the soft tissue window.
        factors: Voxels of the original along i, j, k.
    """

    image: Tensor
    factors: Index3


@dataclass(frozen=True, slots=True, eq=False)
class ClickCase:
    """A loaded case in RAS order.

    Args:
        case_id: Its name.
        modality: `"CT"` or `"MR"`.
        levels: From fine to coarse.
        spacing_mm: Of the finest.
        objects: Parts of its labels.
        body: Voxels inside the patient `(n, 3)`, some of them.
    """

    case_id: str
    modality: str
    levels: tuple[Level, ...]
    spacing_mm: tuple[float, float, float]
    objects: tuple[ClickObject, ...]
    body: Tensor


def load_click_case(entry: CaseEntry, *, hidden: Sequence[str], rng: np.random.Generator) -> ClickCase:
    """Read a case.

    Args:
        entry: The case.
        hidden: LabelSet whose parts are no objects.
        rng: Chooses voxels of the body.
    """
    volume = read_volume(entry.image, modality=entry.modality)
    labels = read_volume(entry.label, modality=entry.modality)
    orientation = Orientation.of(volume.affine)
    low, high = soft_tissue_units(volume)
    image = torch.from_numpy(np.ascontiguousarray(orientation.to_ras(volume.array), dtype=np.float32))
    image = (image - low) / (high - low)
    label = np.ascontiguousarray(orientation.to_ras(labels.array)).astype(np.uint8)
    spacing = np.linalg.norm(orientation.affine_to_ras(volume.affine, volume.shape)[:3, :3], axis=0)
    objects: list[ClickObject] = []
    for name, label_ids in entry.targets.items():
        if name not in hidden and label_ids:
            objects += _parts_of(name, np.isin(label, label_ids), spacing)
    threshold = (find_body(volume).threshold - low) / (high - low)
    body = np.argwhere(image.numpy()[::3, ::3, ::3] > threshold) * 3
    chosen = rng.choice(len(body), size=min(4096, len(body)), replace=False)
    return ClickCase(
        case_id=entry.case_id,
        modality=entry.modality,
        levels=_levels(image, spacing),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        objects=tuple(objects),
        body=torch.from_numpy(body[chosen]),
    )


def _parts_of(name: str, mask: np.ndarray, spacing: np.ndarray) -> list[ClickObject]:
    box = bounding_box(mask)
    if box is None:
        return []
    parts, count = label_components(mask[box.slices])
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    smallest = max(_SMALLEST_VOXELS, _SMALLEST_ML * 1000 / float(np.prod(spacing)))
    found = []
    for part in np.argsort(-sizes)[:_PARTS]:
        if sizes[part] < smallest:
            break
        own = parts == part
        inner = bounding_box(own)
        assert inner is not None  # noqa: S101  # it has voxels
        longest = float(max(np.array(inner.size) * spacing))
        ball = 2 * (3 * float(sizes[part]) * float(np.prod(spacing)) / (4 * math.pi)) ** (1 / 3)
        i, j, k = (a + b for a, b in zip(box.start, inner.start, strict=True))
        found.append(
            ClickObject(
                name=name,
                mask=torch.from_numpy(own[inner.slices].copy()),
                start=(i, j, k),
                extent_mm=math.sqrt(longest * ball),
            )
        )
    return found


def _levels(image: Tensor, spacing: np.ndarray) -> tuple[Level, ...]:
    levels = [Level(image.half(), (1, 1, 1))]
    for target in _LEVELS_MM:
        i, j, k = (max(1, int(target / mm + 0.1)) for mm in spacing)
        if (i, j, k) != levels[-1].factors and all(n >= 2 * f for n, f in zip(image.shape, (i, j, k), strict=True)):
            pooled = F.avg_pool3d(image[None, None], (i, j, k))[0, 0]
            levels.append(Level(pooled.half(), (i, j, k)))
    return tuple(levels)


def save_click_cases(cases: Sequence[ClickCase], path: Path) -> None:
    """Save loaded cases, so that a resumed run need not read and label them again."""
    part = path.with_suffix(".part")
    torch.save([asdict(case) for case in cases], part)
    part.replace(path)


def read_click_cases(path: Path) -> list[ClickCase]:
    """Read the output of `save_click_cases`; images are memory-mapped."""
    return [
        ClickCase(
            **{
                **values,
                "levels": tuple(Level(**level) for level in values["levels"]),
                "objects": tuple(ClickObject(**found) for found in values["objects"]),
            }
        )
        for values in torch.load(path, weights_only=True, mmap=True)
    ]
