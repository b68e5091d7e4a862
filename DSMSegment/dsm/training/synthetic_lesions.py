"""Procedural lesions in organs whose real tumors are not annotated, paired with their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.training.cases import SOFT_TISSUE
from dsm.training.crops import Crop
from dsm.training.lesion_placing import Draw, doubled, even_box, offsets_from, with_absent

_RADIUS_MM = (4.0, 26.0)
_RADIUS_IN_SOFT_TISSUE_MM = (8.0, 45.0)  # a sarcoma is found when it is large
_AIR = 0.1  # of the intensity window: a host as dark as this is a lung
_GENERIC = ("lesion", "tumor")
_SMALLEST_HOST_VOXELS = 30  # of the half-resolution masks
_ASKED_IN_VAIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRules:
    """Placement and appearance of lesions.

    Args:
        probability: Share of crops that get lesions.
        hosts: Names of the lesions of each organ; one is drawn. A name with "cyst" is smooth and close to water.
        generic: Share of crops with lesions in which the words "lesion" and "tumor" are asked, too.
        absent: Share of crops with lesions in which a lesion of another organ in sight is asked and has an empty mask.
        healthy: Share of crops without lesions in which those of up to four organs are asked and have empty masks. A
            network that is asked only where there is something marks the healthy organ.
    """

    probability: float
    hosts: Mapping[str, tuple[str, ...]]
    generic: float = 0.25
    absent: float = 0.4
    healthy: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """All prompt names."""
        return tuple(dict.fromkeys((*(name for names in self.hosts.values() for name in names), *_GENERIC)))


def add_lesions(
    crop: Crop, rules: LesionRules, spacing_mm: float, *, modality: str, generator: torch.Generator
) -> Crop:
    """Insert one to three lesions of one kind into an organ of the crop, with prompts for them.

    Shape, attenuation against the host, texture, rim and mass effect are random. The host's mask holds the lesion, the
    other organs' masks lose it. A crop that gets none (by chance, or because no organ of `rules` is annotated and in
    sight) may get negative prompts.

    Args:
        crop: The sample; it is not changed.
        rules: Which lesions exist.
        spacing_mm: Voxel size of the crop.
        modality: `"CT"`: contrasts as in soft tissue; else stronger ones of either sign.
        generator: Source of randomness.
    """
    draw = Draw(generator)
    annotated = [row for row, name in enumerate(crop.names) if name in rules.hosts]
    annotated = [row for row in annotated if not set(rules.hosts[crop.names[row]]) & set(crop.names)]  # has real ones
    hosts = [row for row in annotated if crop.masks[row].sum() >= _SMALLEST_HOST_VOXELS]
    if not hosts or draw.uniform(0, 1) >= rules.probability:
        return _negative_prompts(crop, rules, annotated, draw)
    host = hosts[draw.integer(len(hosts))]
    kinds = rules.hosts[crop.names[host]]
    kind = kinds[draw.integer(len(kinds))]
    image, masks = crop.image.clone(), crop.masks.clone()
    lesions = torch.zeros_like(masks[0])
    for _ in range(1 + (draw.integer(3) if draw.uniform(0, 1) < 0.4 else 0)):
        _put_one(
            image,
            masks,
            lesions,
            host,
            spacing_mm,
            cystic="cyst" in kind,
            in_soft_tissue=crop.names[host] == SOFT_TISSUE,
            modality=modality,
            draw=draw,
        )
    image[:, 1:] = 0.0  # lesions are of the contrast of the first window
    masks &= ~lesions
    masks[host] |= lesions
    names, found = [kind], [lesions]
    if draw.uniform(0, 1) < rules.generic:
        names.append(_GENERIC[draw.integer(len(_GENERIC))])
        found.append(lesions)
    others = [row for row in hosts if not set(rules.hosts[crop.names[row]]) & set(kinds)]
    if others and draw.uniform(0, 1) < rules.absent:
        names.append(rules.hosts[crop.names[others[draw.integer(len(others))]]][0])
        found.append(torch.zeros_like(lesions))
    return replace(crop, image=image, masks=torch.cat([masks, torch.stack(found)]), names=(*crop.names, *names))


def _negative_prompts(crop: Crop, rules: LesionRules, annotated: Sequence[int], draw: Draw) -> Crop:
    """Add negative prompts: lesions of annotated organs without any."""
    if not annotated or not rules.healthy or draw.uniform(0, 1) >= rules.healthy:
        return crop
    kinds = [*(rules.hosts[crop.names[row]] for row in annotated), _GENERIC]
    order = torch.randperm(len(kinds), generator=draw.generator)[:_ASKED_IN_VAIN].tolist()
    return with_absent(crop, list(dict.fromkeys(kinds[i][draw.integer(len(kinds[i]))] for i in order)))


def _put_one(
    image: Tensor,
    masks: Tensor,
    lesions: Tensor,
    host: int,
    spacing_mm: float,
    *,
    cystic: bool,
    in_soft_tissue: bool,
    modality: str,
    draw: Draw,
) -> None:
    """Write one lesion into `image`, add it to `lesions`; a mass effect moves the masks, too."""
    voxels = masks[host].nonzero()
    smallest_mm, largest_mm = _RADIUS_IN_SOFT_TISSUE_MM if in_soft_tissue else _RADIUS_MM
    center = 2 * voxels[draw.integer(len(voxels))] + 0.5  # of the half-resolution voxel, in image voxels
    organ_mm = (0.75 * len(voxels) / math.pi) ** (1 / 3) * 2 * spacing_mm
    largest_mm = max(smallest_mm + 1, min(largest_mm, 0.8 * organ_mm))
    radius_mm = math.exp(draw.uniform(math.log(smallest_mm), math.log(largest_mm)))
    box = even_box(center, 1.7 * radius_mm / spacing_mm + 2, image.shape[2:])
    if draw.uniform(0, 1) < 0.3:
        _push_outward(image, masks, box, center, radius_mm / spacing_mm, draw.uniform(0.1, 0.4))
    size = tuple(stop - start for start, stop in box)
    offset_mm = offsets_from(box, center) * spacing_mm
    distance = (offset_mm @ draw.axes().T).norm(dim=-1) / radius_mm
    distance = distance + draw.uniform(0.0, 0.35) * draw.smooth_noise(size, 5)
    here = (slice(None), *(slice(start, stop) for start, stop in box))
    half = tuple(slice(start // 2, stop // 2) for start, stop in box)
    host_here = doubled(masks[host][half])
    if draw.uniform(0, 1) < 0.75:  # the others grow out of the organ
        distance = distance.masked_fill(~host_here, 10.0)
    edge = draw.uniform(6, 20)
    inside = torch.sigmoid((1 - distance) * edge)
    shown = image[0][here]
    level = shown[0][host_here].mean() if host_here.any() else shown[0].mean()
    contrast = _contrast(draw, modality, cystic=cystic, in_air=modality == "CT" and float(level) < _AIR)
    texture = (0.2 if cystic else draw.uniform(0.2, 0.8)) * abs(contrast) * draw.smooth_noise(size, 8)
    rim = draw.uniform(-0.3, 1.0) * abs(contrast) * torch.exp(-((distance - 0.95) / 0.12).square())
    if cystic or draw.uniform(0, 1) < 0.3:
        rim = rim * 0
    old_share = draw.uniform(0.3, 1.0)  # how much of the scan's own grain stays
    filled = old_share * (shown - level) * 0.8 + level + contrast + texture + rim
    image[0][here] = torch.lerp(shown, filled, inside).clamp(0, 1)
    lesions[half] |= F.avg_pool3d((distance < 1).float()[None, None], 2)[0, 0] >= 0.5


def _contrast(draw: Draw, modality: str, *, cystic: bool, in_air: bool) -> float:
    """Lesion minus host as a share of the intensity window (CT: 400 HU)."""
    if in_air:  # the window ends above the lung: soft tissue of -5 to 115 HU
        return draw.uniform(0.3, 0.6)
    if modality != "CT":
        return (1 if cystic or draw.uniform(0, 1) < 0.7 else -1) * draw.uniform(0.1, 0.45)
    if cystic:
        return -draw.uniform(0.15, 0.28)
    return -draw.uniform(0.05, 0.22) if draw.uniform(0, 1) < 0.75 else draw.uniform(0.05, 0.18)


def _push_outward(
    image: Tensor, masks: Tensor, box: Sequence[tuple[int, int]], center: Tensor, radius: float, strength: float
) -> None:
    """Mass effect: tissue moves away from the centre, most at the lesion's border; changes `image` and `masks`."""

    def pulled(values: Tensor, step: int) -> Tensor:
        """Sample each voxel nearer to the centre than it lies."""
        offsets = offsets_from(box, center, step)
        distance = offsets.norm(dim=-1, keepdim=True)
        source = offsets * (1 - strength * torch.exp(-(distance / (1.3 * radius)).square()))
        low, high = torch.tensor(box, dtype=torch.float32).unbind(dim=1)
        position = (source + center - low + 0.5) / (high - low) * 2 - 1  # align_corners=False: borders at ±1
        return F.grid_sample(values[None], position.flip(-1)[None], padding_mode="border", align_corners=False)[0]

    here = (slice(None), *(slice(low, high) for low, high in box))
    half = (slice(None), *(slice(low // 2, high // 2) for low, high in box))
    image[0][here] = pulled(image[0][here], 1)
    masks[half] = pulled(masks[half].float(), 2) > 0.5
