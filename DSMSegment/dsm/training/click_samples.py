"""Windows for click training: labelled objects, image regions, and synthetic lesions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813  # its usual name
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from dsm.evaluation.simulated_clicks import first_click
from dsm.training.click_cases import ClickCase, ClickObject

_SPACING_MM = (0.5, 8.0)
_SMALLEST_SHARE = 15  # voxels of the window that an object must have
_TRIES = 10
# Extent of an object in window edges: the first looks do not know the size, so it may be a dot or leave the window far.
_SHARE = (0.1, 3.2)
_COARSE = 0.4  # share of degraded masks that are the truth at a lower resolution
_TRUNCATED = 0.4  # share of masks to correct that end where an earlier, smaller window ended


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRules:
    """Composition of the training windows.

    Args:
        labels: Share of windows on labelled objects; the rest are regions and lesions.
        lesions: Share of windows on lesions that the program puts in.
        text: Share of windows with a text mask, most of them wrong in part, some altogether.
        start_wrong: Share of windows that begin with a mask to correct.
    """

    labels: float = 0.5
    lesions: float = 0.3
    text: float = 0.35
    start_wrong: float = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class ClickSample:
    """One window.

    Args:
        image: In units of the soft tissue window `(i, j, k)`.
        truth: Bool.
        text: Mask of a text prompt; empty for none.
        previous: Mask to correct; empty for none.
        click: First click, inside.
    """

    image: Tensor
    truth: Tensor
    text: Tensor
    previous: Tensor
    click: tuple[int, int, int]


def draw_sample(case: ClickCase, size: int, rules: SampleRules, rng: np.random.Generator) -> ClickSample:
    """Draw a window of `size`³ voxels of a case.

    Args:
        case: Where from.
        size: Voxels along an edge.
        rules: What to draw.
        rng: Source of randomness.
    """
    for _ in range(_TRIES):
        sample = _try(case, size, rules, rng)
        if sample is not None:
            return sample
    return _lesion_sample(case, size, rules, rng)


def _try(case: ClickCase, size: int, rules: SampleRules, rng: np.random.Generator) -> ClickSample | None:
    kind = rng.random()
    if kind < rules.labels and case.objects:
        return _label_sample(case, size, rules, rng)
    if kind < rules.labels + rules.lesions:
        return _lesion_sample(case, size, rules, rng)
    return _region_sample(case, size, rules, rng)


def _label_sample(case: ClickCase, size: int, rules: SampleRules, rng: np.random.Generator) -> ClickSample | None:
    names = sorted({found.name for found in case.objects})
    name = names[rng.integers(len(names))]
    parts = [found for found in case.objects if found.name == name]
    target = parts[rng.integers(len(parts))]
    share = math.exp(rng.uniform(math.log(_SHARE[0]), math.log(_SHARE[1])))
    spacing = float(np.clip(target.extent_mm / (size * share), *_SPACING_MM))
    spacing = max(spacing, 0.4 * min(case.spacing_mm))
    voxels = target.mask.nonzero()
    anchor = (voxels[rng.integers(len(voxels))] + torch.tensor(target.start)).double()
    if rng.random() < 0.5:  # the window of a later look lies around what was found
        middle = torch.tensor(target.start) + torch.tensor(target.mask.shape) / 2
        anchor = anchor + rng.random() * _capped(middle - anchor, case, 0.3 * size * spacing)
    window = _Window.draw(case, anchor, size, spacing, rng)
    truth = window.mask(target)
    if truth.sum() < _SMALLEST_SHARE:
        return None
    return _finish(window.image(case), truth, rules, rng, case)


def _capped(offset: Tensor, case: ClickCase, most_mm: float) -> Tensor:
    length = float((offset * torch.tensor(case.spacing_mm)).norm())
    return offset * min(1.0, most_mm / max(length, 1e-6))


def _region_sample(case: ClickCase, size: int, rules: SampleRules, rng: np.random.Generator) -> ClickSample | None:
    """A region of like intensity: supervoxels (SLIC) that are merged as long as their means are near."""
    window = _Window.draw(case, _somewhere(case, rng), size, _any_spacing(case, rng), rng)
    image = window.image(case)
    region = merged_supervoxels(image.clamp(-0.2, 1.2).numpy(), rng)
    if region is None:
        return None
    return _finish(image, torch.from_numpy(region), rules, rng, case)


def merged_supervoxels(image: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Grow a region of supervoxels from the middle of a window; None where none stands out.

    Args:
        image: Intensities about 0 to 1 `[i, j, k]`.
        rng: Source of randomness.
    """
    edge = int(rng.integers(4, 9))
    smooth = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.0)).astype(np.float32)
    parts = sitk.GetArrayFromImage(
        sitk.SLIC(
            sitk.GetImageFromArray(100 * smooth),
            maximumNumberOfIterations=4,
            superGridSize=[edge] * 3,
            spatialProximityWeight=3.0,
        )
    ).astype(np.int64)
    count = int(parts.max()) + 1
    sizes = np.bincount(parts.reshape(-1), minlength=count)
    means = np.bincount(parts.reshape(-1), weights=image.reshape(-1), minlength=count) / np.maximum(sizes, 1)
    pairs = []
    for axis in range(3):
        first, second = np.delete(parts, -1, axis), np.delete(parts, 0, axis)
        pairs.append(np.unique(np.stack([first[first != second], second[first != second]]), axis=1))
    edges = np.concatenate([*pairs, *(pair[::-1] for pair in pairs)], axis=1)
    middle = [int(n / 2 + rng.uniform(-0.2, 0.2) * n) for n in image.shape]
    seed = parts[tuple(middle)]
    tolerance = rng.uniform(0.02, 0.1)
    chosen = np.zeros(count, dtype=bool)
    chosen[seed] = True
    if smooth[parts == seed].std() > tolerance:  # it lies on a border
        return None
    alike = np.abs(means - means[seed]) < tolerance
    for _ in range(12):
        grown = edges[1][chosen[edges[0]] & alike[edges[1]]]
        if chosen[grown].all():
            break
        chosen[grown] = True
    region = chosen[parts]
    share = region.mean()
    rim = edges[1][chosen[edges[0]] & ~chosen[edges[1]]]
    if not 0.004 < share < 0.4 or not len(rim) or np.median(np.abs(means[rim] - means[seed])) < 1.5 * tolerance:
        return None
    return np.asarray(ndimage.binary_opening(region, iterations=1)) if share > 0.02 else region


def _lesion_sample(case: ClickCase, size: int, rules: SampleRules, rng: np.random.Generator) -> ClickSample:
    window = _Window.draw(case, _somewhere(case, rng), size, _any_spacing(case, rng), rng)
    while True:
        image, truth = put_lesion(window.image(case), rng)
        if (sample := _finish(image, truth, rules, rng, case)) is not None:
            return sample


def put_lesion(image: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Put a lesion near the middle of a window: an ellipsoid with a rough surface, texture, rim, soft edge.

    Args:
        image: In units of the soft tissue window `(i, j, k)`.
        rng: Source of randomness.

    Returns:
        The image with it, and its mask.
    """
    size = image.shape[0]
    radius = size * math.exp(rng.uniform(math.log(0.07), math.log(0.42)))
    middle = size / 2 - 0.5 + rng.uniform(-0.2, 0.2, 3) * size
    axes = torch.arange(size, dtype=torch.float32)
    offset = torch.stack(torch.meshgrid(*(axes - m for m in middle.tolist()), indexing="ij"), dim=-1)
    rotation = torch.from_numpy(np.linalg.qr(rng.standard_normal((3, 3)))[0]).float()
    stretch = torch.from_numpy(np.exp(rng.uniform(-0.45, 0.45, 3))).float()
    distance = ((offset @ rotation.T) * stretch).norm(dim=-1) / radius
    distance = distance + rng.uniform(0, 0.5) * _noise(size, int(rng.integers(3, 7)), rng)
    truth = distance < 1
    if not truth.any():
        truth[tuple(round(m) for m in middle.tolist())] = True
    level, grain = float(image[truth].mean()), float(image[truth].std()) if truth.sum() > 1 else 0.0
    if rng.random() < 0.35:  # like something else in sight, so that only its shape ends it there
        other = image[tuple(rng.integers(0, size, 3))]
        target = float(other) + rng.uniform(-0.05, 0.05)
    else:
        target = level + rng.choice([-1, 1], p=[0.6, 0.4]) * rng.uniform(0.06, 0.45)
    if level < -0.5:  # in air or lung
        target = rng.uniform(0.3, 0.75)
    rough = rng.uniform(0.0, 0.6) * abs(target - level) * _noise(size, int(rng.integers(5, 12)), rng)
    rim = rng.uniform(-0.3, 1.0) * (target - level) * torch.exp(-((distance - 0.92) / 0.12).square())
    core = rng.uniform(-0.6, 0.3) * (target - level) * (distance < rng.uniform(0.3, 0.7)).float()
    filled = target + rough + (rim if rng.random() < 0.3 else 0) + (core if rng.random() < 0.25 else 0)
    if grain > 0.15:  # the place was no one tissue
        filled = filled + rng.uniform(0.01, 0.05) * torch.from_numpy(rng.standard_normal(image.shape)).float()
    else:
        filled = filled + rng.uniform(0.3, 1.0) * (image - level)
    inside = torch.sigmoid((1 - distance) * rng.uniform(4, 25))
    return torch.lerp(image, filled, inside), truth


def _somewhere(case: ClickCase, rng: np.random.Generator) -> Tensor:
    return case.body[rng.integers(len(case.body))].double()


def _any_spacing(case: ClickCase, rng: np.random.Generator) -> float:
    return max(0.4 * min(case.spacing_mm), math.exp(rng.uniform(math.log(0.7), math.log(4.5))))


def _noise(size: int, cells: int, rng: np.random.Generator) -> Tensor:
    """Smooth noise in about -1 to 1."""
    grid = torch.from_numpy(rng.uniform(-1, 1, (1, 1, cells, cells, cells))).float()
    return F.interpolate(grid, (size, size, size), mode="trilinear", align_corners=True)[0, 0]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Position of a window's voxels in the image: voxel coordinates `(i, j, k, 3)`, and their spacing in mm."""

    points: Tensor
    spacing: float
    spacing_mm: tuple[float, float, float]

    @classmethod
    def draw(cls, case: ClickCase, anchor: Tensor, size: int, spacing: float, rng: np.random.Generator) -> _Window:
        """Rotate, stretch, flip and shift at random."""
        angles = np.deg2rad(rng.uniform(-25, 25, 3)) if rng.random() < 0.5 else np.zeros(3)
        rotation = np.eye(3)
        for axis, angle in enumerate(angles):
            turn = np.eye(3)
            a, b = (axis + 1) % 3, (axis + 2) % 3
            turn[a, a] = turn[b, b] = math.cos(angle)
            turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
            rotation = rotation @ turn
        scale = np.exp(rng.uniform(-0.15, 0.15, 3)) * rng.choice([-1, 1], 3)
        matrix = np.diag(1 / np.array(case.spacing_mm)) @ rotation @ np.diag(spacing * scale)
        shift = rng.normal(0, 0.06, 3) * size
        axes = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        offset = torch.stack(torch.meshgrid(*(axes + s for s in shift.tolist()), indexing="ij"), dim=-1)
        return cls((offset @ torch.from_numpy(matrix.T) + anchor).float(), spacing, case.spacing_mm)

    def image(self, case: ClickCase) -> Tensor:
        """Linear, from the coarsest copy that is fine enough."""
        level = next(
            level
            for level in reversed(case.levels)
            if level.factors == (1, 1, 1)
            or all(f == 1 or f * mm <= 1.3 * self.spacing for f, mm in zip(level.factors, self.spacing_mm, strict=True))
        )
        factors = torch.tensor(level.factors)
        return _sampled(level.image, (self.points + 0.5) / factors - 0.5, padding="border")

    def mask(self, target: ClickObject) -> Tensor:
        """Mask of the object."""
        return _sampled(target.mask, self.points - torch.tensor(target.start), padding="zeros") > 0.5


def _sampled(array: Tensor, points: Tensor, *, padding: str) -> Tensor:
    """Values of an array `(i, j, k)` at voxel coordinates."""
    lengths = torch.tensor(array.shape)
    low = torch.minimum(points.amin(dim=(0, 1, 2)).floor().long().clamp_min(0), lengths - 1)
    high = torch.minimum(points.amax(dim=(0, 1, 2)).ceil().long().clamp_min(0), lengths - 1) + 1
    part = array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].float()
    size = torch.tensor(part.shape)
    position = (points - low + 0.5) / size * 2 - 1
    found = F.grid_sample(part[None, None], position.flip(-1)[None], padding_mode=padding, align_corners=False)
    return found[0, 0]


def _finish(
    image: Tensor, truth: Tensor, rules: SampleRules, rng: np.random.Generator, case: ClickCase
) -> ClickSample | None:
    """Return the clicked component of the truth, degraded masks, and an augmented image."""
    parts, count = ndimage.label(truth.numpy(), structure=np.ones((3, 3, 3)))
    if count > 1:
        truth = torch.from_numpy(parts == np.bincount(parts.reshape(-1))[1:].argmax() + 1)
    if truth.sum() < 8:
        return None
    depth = 0.75 if rng.random() < 0.5 else 0.25
    empty = torch.zeros_like(truth)
    text = empty
    if rng.random() < rules.text:
        text = (
            _wrong(truth, rng) if rng.random() < 0.85 else torch.roll(truth, rng.integers(8, 24, 3).tolist(), (0, 1, 2))
        )
    previous = empty
    if rng.random() < rules.start_wrong:
        previous = _truncated(truth, rng) if rng.random() < _TRUNCATED else _wrong(truth, rng)
    click = first_click(truth.numpy(), rng, depth=depth)
    return ClickSample(_another_look(image, rng, is_ct=case.modality == "CT"), truth, text, previous, click)


def _wrong(truth: Tensor, rng: np.random.Generator) -> Tensor:
    """Degrade a mask as networks do: at a lower resolution, or its surface displaced by a smooth field."""
    size = truth.shape[0]
    if rng.random() < _COARSE:
        cells = round(size / rng.uniform(1.5, 4))
        coarse = F.interpolate(truth[None, None].float(), (cells,) * 3, mode="area")
        found = F.interpolate(coarse, truth.shape, mode="trilinear", align_corners=False)[0, 0] > 0.5
        if found.any():
            return found
    inner = ndimage.distance_transform_edt(truth.numpy())
    outer = ndimage.distance_transform_edt(~truth.numpy())
    signed = torch.from_numpy(inner - outer).float()
    reach = max(1.0, float(signed.max()))
    moved = signed + reach * (
        rng.uniform(0.1, 1.3) * _noise(size, int(rng.integers(2, 6)), rng) + rng.uniform(-0.4, 0.3)
    )
    return moved > 0


def _truncated(truth: Tensor, rng: np.random.Generator) -> Tensor:
    """Cut a mask at the faces of a smaller window near the middle."""
    size = truth.shape[0]
    edge = size / rng.uniform(1.3, 2.2)
    axes = torch.arange(size, dtype=torch.float32)
    near = [(axes - (size - 1) / 2 - shift).abs() < edge / 2 for shift in rng.normal(0, 0.06, 3) * size]
    return truth & near[0][:, None, None] & near[1][None, :, None] & near[2][None, None, :]


def _another_look(image: Tensor, rng: np.random.Generator, *, is_ct: bool) -> Tensor:
    """Augment the image: slice thickness, noise, blur, contrast, bias field; MR also inverted."""
    size = image.shape[0]
    if rng.random() < 0.25:
        axis, thickness = int(rng.integers(3)), int(rng.integers(2, 5))
        kernel, shape = [1, 1, 1], list(image.shape)
        kernel[axis] = thickness
        thick = F.avg_pool3d(image[None, None], kernel, ceil_mode=True)
        image = F.interpolate(thick, shape, mode="trilinear", align_corners=False)[0, 0]
    if rng.random() < 0.2:
        image = torch.from_numpy(ndimage.gaussian_filter(image.numpy(), rng.uniform(0.3, 1.0)))
    if rng.random() < 0.35:
        image = image + rng.uniform(0.01, 0.08) * torch.from_numpy(rng.standard_normal(image.shape)).float()
    if not is_ct:
        if rng.random() < 0.4:
            image = image * (1 + rng.uniform(0.1, 0.4) * _noise(size, 2, rng))
        if rng.random() < 0.2:
            image = 1 - image
        image = image.clamp_min(0) ** math.exp(rng.uniform(-0.4, 0.4))
    center = rng.uniform(0.3, 0.6)
    strength = math.exp(rng.normal(0, 0.12 if is_ct else 0.25))
    return (image - center) * strength + center + rng.normal(0, 0.04)
