"""Real lesions of the training cases, moved to other places and other patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from dsm.core.volume import voxel_ml
from dsm.training.cases import Case
from dsm.training.crops import Crop
from dsm.training.lesion_placing import Draw, doubled, even_box, offsets_from, with_absent

_MARGIN_MM = 10.0  # of a lesion's surroundings, whose mean intensity the lesion is compared with
_SMALLEST_ML, _LARGEST_ML = 0.05, 400.0
_SMALLEST_HOST_VOXELS = 200  # of the half-resolution masks
_SCALE = (0.6, 1.6)  # of a length
_CONTRAST = (0.7, 1.4)
_SEVERAL = 0.4  # share of crops with lesions that get two or three
_GROWS_OUT = 0.25  # share of lesions that may leave their host


@dataclass(frozen=True, slots=True, kw_only=True)
class TransplantRules:
    """Choice of the lesions that are moved.

    Args:
        probability: Share of crops that get lesions.
        hosts: Name of the lesions of each organ.
        absent: Share of the other crops in which lesions of organs in sight count as absent where they are not
            annotated.
        shift_hu: Range of a shift of an organ with all that is in it, in half of the crops of CT: a fatty liver, or
            another contrast phase, so that a lesion is what differs from its organ.
        parts: Names of parts of a lesion, which are unknown where one is put.
    """

    probability: float
    hosts: Mapping[str, str]
    absent: float = 0.0
    shift_hu: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class RealLesion:
    """One lesion of a training case.

    Attributes:
        modality: Of the case.
        difference: Intensity minus the mean of the host around it, of each window `(C, i, j, k)`.
        is_shown: Whether the case has each window; a window that it lacks is zero.
        mask: Bool `(i, j, k)`.
        spacing_mm: Voxel size.
    """

    modality: str
    difference: Tensor
    is_shown: tuple[bool, ...]
    mask: Tensor
    spacing_mm: tuple[float, float, float]

    @property
    def radius_mm(self) -> float:
        """Half of the longest diagonal of its box."""
        return 0.5 * math.hypot(*(n * mm for n, mm in zip(self.mask.shape, self.spacing_mm, strict=True)))


LesionBank = Mapping[str, Sequence[Sequence[RealLesion]]]  # of each name the lesions of each case


def lesion_bank(cases: Sequence[Case], rules: TransplantRules) -> dict[str, list[list[RealLesion]]]:
    """Cut the annotated lesions out of cases."""
    bank: dict[str, list[list[RealLesion]]] = {}
    for case in cases:
        for name in dict.fromkeys(rules.hosts.values()):
            if name in case.present:
                hosts = [host for host, lesion in rules.hosts.items() if lesion == name]
                found = _lesions_of(case, name, hosts)
                if found:
                    bank.setdefault(name, []).append(found)
    return bank


def _lesions_of(case: Case, name: str, hosts: Sequence[str]) -> list[RealLesion]:
    label = case.label[0, 0].numpy()
    lesion = np.isin(label, case.entry.targets[name])
    host_ids = [label_id for host in hosts for label_id in case.entry.targets.get(host, ())]
    host = np.isin(label, host_ids) & ~lesion
    parts, _ = ndimage.label(lesion, structure=np.ones((3, 3, 3)))
    margin = [math.ceil(_MARGIN_MM / mm) for mm in case.spacing_mm]
    is_shown = tuple(bool(window.any()) for window in case.image[0])
    found = []
    for index, where in enumerate(ndimage.find_objects(parts), start=1):
        ends = zip(where, margin, label.shape, strict=True)
        around = tuple(slice(max(0, at.start - m), min(n, at.stop + m)) for at, m, n in ends)
        mask = parts[around] == index
        ml = np.count_nonzero(mask) * voxel_ml(np.diag(case.spacing_mm))
        if not _SMALLEST_ML <= ml <= _LARGEST_ML or not host[around].any():
            continue
        image = case.image[0][(slice(None), *around)]
        level = image[:, torch.from_numpy(host[around])].mean(dim=1)
        found.append(
            RealLesion(
                modality=case.entry.modality,
                difference=image - level[:, None, None, None],
                is_shown=is_shown,
                mask=torch.from_numpy(mask),
                spacing_mm=case.spacing_mm,
            )
        )
    return found


def transplant_lesions(
    crop: Crop,
    bank: LesionBank,
    rules: TransplantRules,
    spacing_mm: float,
    *,
    modality: str,
    generator: torch.Generator,
    windows_hu: Sequence[tuple[float, float]] = (),
) -> Crop:
    """Put one to three real lesions into an organ of a crop, each turned, scaled and with another contrast.

    Args:
        crop: The sample; it is not changed.
        bank: From `lesion_bank`.
        rules: Which lesions belong where.
        spacing_mm: Voxel size of the crop.
        modality: Of the crop; only lesions of this modality are put into it.
        generator: Source of randomness.
        windows_hu: Intensity windows of the model; needed for shifts.

    Returns:
        A crop whose lesion's and host's masks hold the lesions; those of other organs lose them.

    References:
        Yang et al., TumorCP, MICCAI 2021 (copy and paste of tumors between patients); here their difference to the
        host is moved, so that they fit in another contrast phase.
    """
    draw = Draw(generator)
    crop = _shifted(crop, rules, windows_hu, draw) if modality == "CT" else crop
    hosts = [
        row
        for row, name in enumerate(crop.names)
        if rules.hosts.get(name) in bank and crop.masks[row].sum() >= _SMALLEST_HOST_VOXELS
    ]
    if not hosts:
        return crop
    if draw.uniform(0, 1) >= rules.probability:
        return _without_lesions(crop, {rules.hosts[crop.names[row]] for row in hosts}, rules.absent, draw)
    host = hosts[draw.integer(len(hosts))]
    name = rules.hosts[crop.names[host]]
    donors = [lesions for lesions in bank[name] if lesions[0].modality == modality]
    if not donors:
        return crop
    image, masks = crop.image.clone(), crop.masks.clone()
    put = torch.zeros_like(masks[0])
    for _ in range(2 + draw.integer(2) if draw.uniform(0, 1) < _SEVERAL else 1):
        lesions = donors[draw.integer(len(donors))]
        _put_one(image, masks[host], put, lesions[draw.integer(len(lesions))], spacing_mm, draw)
    masks &= ~put
    masks[host] |= put
    names = crop.names
    if name in names:
        masks[names.index(name)] |= put
    else:
        masks, names = torch.cat([masks, put[None]]), (*names, name)
    known = [row for row, one in enumerate(names) if one not in rules.parts.get(name, ())]
    return replace(crop, image=image, masks=masks[known], names=tuple(names[row] for row in known))


def _shifted(crop: Crop, rules: TransplantRules, windows_hu: Sequence[tuple[float, float]], draw: Draw) -> Crop:
    rows = [row for row, name in enumerate(crop.names) if name in rules.shift_hu and crop.masks[row].any()]
    if not rows or draw.uniform(0, 1) < 0.5:
        return crop
    image = crop.image.clone()
    for row in rows:
        shift = draw.uniform(*rules.shift_hu[crop.names[row]])
        inside = F.avg_pool3d(doubled(crop.masks[row]).float()[None], 3, stride=1, padding=1)
        for channel, (low, high) in enumerate(windows_hu):
            if image[0, channel].any():
                image[0, channel] += shift / (high - low) * inside[0]
    return replace(crop, image=image.clamp(0, 1))


def _without_lesions(crop: Crop, names: set[str], share: float, draw: Draw) -> Crop:
    missing = sorted(names - set(crop.names))
    if not missing or draw.uniform(0, 1) >= share:
        return crop
    return with_absent(crop, missing)


def _put_one(image: Tensor, host: Tensor, put: Tensor, lesion: RealLesion, spacing_mm: float, draw: Draw) -> None:
    """Write one lesion into `image` `(1, C, I, J, K)` and add it to `put`, the half-resolution mask of them all."""
    voxels = host.nonzero()
    center = 2 * voxels[draw.integer(len(voxels))] + 0.5  # of the half-resolution voxel, in image voxels
    scale = math.exp(draw.uniform(*map(math.log, _SCALE)))
    box = even_box(center, scale * lesion.radius_mm / spacing_mm + 1, image.shape[2:])
    turn = draw.axes() / scale  # vectors in the crop to vectors in the donor, mm
    if draw.uniform(0, 1) < 0.5:
        turn[0] = -turn[0]
    source = offsets_from(box, center) * spacing_mm @ turn.T / torch.tensor(lesion.spacing_mm)
    position = 2 * source / torch.tensor(lesion.mask.shape)  # align_corners=False, from the middle of the donor's box
    values = torch.cat([lesion.difference, lesion.mask[None].float()])
    sampled = F.grid_sample(values[None], position.flip(-1)[None], padding_mode="zeros", align_corners=False)[0]
    difference, inside = sampled[:-1], sampled[-1]
    here = tuple(slice(start, stop) for start, stop in box)
    half = tuple(slice(start // 2, stop // 2) for start, stop in box)
    host_here = doubled(host[half])
    if draw.uniform(0, 1) >= _GROWS_OUT:
        inside = inside * host_here
    shown = image[0][(slice(None), *here)]
    level = shown[:, host_here].mean(dim=1) if host_here.any() else shown.flatten(1).mean(dim=1)
    filled = level[:, None, None, None] + draw.uniform(*_CONTRAST) * difference
    has_window = torch.tensor(lesion.is_shown) & image[0].flatten(1).any(dim=1)
    image[0][(slice(None), *here)] = torch.lerp(shown, filled, inside).clamp(0, 1)
    image[0][~has_window] = 0.0
    put[half] |= F.avg_pool3d((inside > 0.5).float()[None, None], 2)[0, 0] >= 0.5
