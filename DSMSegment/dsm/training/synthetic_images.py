"""Synthetic images from label maps: CT-like and MR-like, with random intensities, texture, resolution and bias.

References:
    Billot et al., SynthSeg: segmentation of brain MRI scans of any contrast and resolution without retraining,
    Medical Image Analysis 86, 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.intensity import window_channels
from dsm.training.tissues import OTHER_TISSUE, Tissue, tissue_of

OTHER_TISSUE_ID = 252  # in label maps; those of data sets are smaller
_AIR_HU = -1000.0
_CLOSING_MM = 40.0  # labelled parts that are no farther apart belong to one body
_SKIN_MM = 15.0  # of tissue around the labelled parts
_BODY_SPACING_MM = 4.0
_CORTEX_HU = (200.0, 900.0)
_COARSE_SHARE = 0.3
_SEQUENCE_SHARE = 0.65  # of the MR-like images; the others have any contrast
_DEFORMATION_NODES = 5
_DEFORMATION_MM = 10.0


def add_other_tissue(label: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Label the unlabelled inside of the body as `OTHER_TISSUE_ID`.

    Args:
        label: Label ids `[I, J, K]`, uint8, 0 without a label; of a trunk, say.
        spacing_mm: Voxel size.

    Returns:
        Label ids, same shape. The body is the morphological closing of all labels, with a margin for skin and fat.
    """
    zoom = [mm / _BODY_SPACING_MM for mm in spacing_mm]
    coarse = ndimage.zoom((label > 0).astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest") > 0.3
    grow = round((_CLOSING_MM + _SKIN_MM) / _BODY_SPACING_MM)
    padded = np.pad(coarse, ((grow, grow), (grow, grow), (0, 0)))
    near = ndimage.distance_transform_edt(~padded) <= _CLOSING_MM / _BODY_SPACING_MM
    inside = ndimage.distance_transform_edt(np.pad(near, ((0, 0), (0, 0), (1, 1)), mode="edge"))[:, :, 1:-1]
    closed = inside > (_CLOSING_MM - _SKIN_MM) / _BODY_SPACING_MM
    body = closed[grow:-grow, grow:-grow]
    index = [
        np.minimum((np.arange(n) * mm / _BODY_SPACING_MM).astype(int), body.shape[axis] - 1)
        for axis, (n, mm) in enumerate(zip(label.shape, spacing_mm, strict=True))
    ]
    return np.where((label == 0) & body[np.ix_(*index)], np.uint8(OTHER_TISSUE_ID), label)


def synthetic_image(
    label: Tensor,
    names: Mapping[int, str],
    windows_hu: Sequence[tuple[float, float]],
    *,
    generator: torch.Generator,
    mr_share: float = 0.5,
) -> Tensor:
    """Draw an image of a label map.

    Args:
        label: Label ids `(I, J, K)`, uint8; 0 is air.
        names: Structure of each id; `OTHER_TISSUE_ID` need not be among them.
        windows_hu: Intensity windows of the model. An MR-like image has the first channel alone.
        generator: Source of randomness.
        mr_share: Probability of an MR-like image.

    Returns:
        Intensity channels in [0, 1], `(1, C, I, J, K)`.
    """
    is_mr = _rand(generator) < mr_share
    sequence = int(torch.randint(3, (), generator=generator)) if _rand(generator) < _SEQUENCE_SHARE else None
    means, deviations = torch.zeros(256), torch.zeros(256)
    means[0] = 0.0 if is_mr else _AIR_HU
    cortex = torch.zeros(256, dtype=torch.bool)
    present = label.unique().tolist()
    drawn: dict[str, tuple[float, float]] = {}  # left and right are of one tissue
    for label_id in present:
        if label_id == 0:
            continue
        name = names.get(label_id, OTHER_TISSUE)
        tissue, pair = tissue_of(name), name.removeprefix("left ").removeprefix("right ")
        if pair not in drawn:
            low, high = _mr_range(tissue, sequence) if is_mr else _one_of(tissue.hu, generator)
            drawn[pair] = low + (high - low) * _rand(generator), _rand(generator) * (0.08 if is_mr else 25.0)
        means[label_id], deviations[label_id] = drawn[pair]
        cortex[label_id] = tissue.has_cortex and not is_mr
    ids = label.long()
    image = means[ids]
    if OTHER_TISSUE_ID in present:
        image = _with_fat_and_muscle(image, label == OTHER_TISSUE_ID, is_mr=is_mr, generator=generator)
    if cortex.any():
        dense = cortex[ids].float()[None, None]
        surface = (dense[0, 0] > 0) & (F.avg_pool3d(dense, 3, stride=1, padding=1)[0, 0] < 0.99)
        low, high = _CORTEX_HU
        image = torch.where(surface, image + low + (high - low) * _rand(generator), image)
    image += deviations[ids] * _smooth_noise(label.shape, generator)
    image = _blurred(image, generator)
    image += (0.03 if is_mr else 20.0) * _rand(generator) * torch.randn(image.shape, generator=generator)
    if is_mr:
        bias = 1 + 0.4 * _smooth_field(label.shape, 3, generator)
        channels = torch.zeros(len(windows_hu), *image.shape)
        channels[0] = (image * bias).clamp(0, 1)
    else:
        channels = window_channels(image, windows_hu)
    return channels[None]


def random_deformation(size: Sequence[int], spacing_mm: float, generator: torch.Generator) -> Tensor:
    """Draw a smooth displacement field `(I, J, K, 3)` in voxels of a grid with `spacing_mm`."""
    amplitude = _DEFORMATION_MM * _rand(generator) / spacing_mm
    fields = [_smooth_field(size, _DEFORMATION_NODES, generator) for _ in range(3)]
    return amplitude * torch.stack(fields, dim=-1)


def _with_fat_and_muscle(image: Tensor, where: Tensor, *, is_mr: bool, generator: torch.Generator) -> Tensor:
    """Divide unlabelled tissue into blobs of two tissues."""
    if is_mr:
        fat, muscle = _rand(generator), _rand(generator)
    else:
        fat, muscle = (low + (high - low) * _rand(generator) for low, high in tissue_of(OTHER_TISSUE).hu)
    blobs = _smooth_field(image.shape, 12, generator) > 0.6 * (_rand(generator) - 0.5)
    return torch.where(where, torch.where(blobs, torch.tensor(fat), torch.tensor(muscle)), image)


def _mr_range(tissue: Tissue, sequence: int | None) -> tuple[float, float]:
    return tissue.mr if sequence is None or not tissue.sequences else tissue.sequences[sequence]


def _one_of(ranges: Sequence[tuple[float, float]], generator: torch.Generator) -> tuple[float, float]:
    return ranges[int(torch.randint(len(ranges), (), generator=generator))]


def _rand(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _smooth_field(size: Sequence[int], nodes: int, generator: torch.Generator) -> Tensor:
    """Random values of about -1 to 1 at `nodes` points an axis, interpolated to `(I, J, K)`."""
    coarse = 2 * torch.rand((1, 1, nodes, nodes, nodes), generator=generator) - 1
    return F.interpolate(coarse, size=tuple(size), mode="trilinear", align_corners=True)[0, 0]


def _smooth_noise(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Noise of unit variance whose grains are one to four voxels wide."""
    step = int(torch.randint(1, 5, (), generator=generator))
    coarse = torch.randn((1, 1, *(-(-n // step) for n in size)), generator=generator)
    if step == 1:
        return coarse[0, 0]
    return F.interpolate(coarse, size=tuple(size), mode="trilinear", align_corners=False)[0, 0]


def _blurred(image: Tensor, generator: torch.Generator) -> Tensor:
    """Blur by a random point-spread function; now and then by thick slices along one axis."""
    sigma = 0.4 + 0.6 * _rand(generator)
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps /= taps.sum()
    x = image[None, None]
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]
        shape[2 + axis] = 5
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = 2
        x = F.conv3d(F.pad(x, padding, mode="replicate"), taps.view(shape))
    if _rand(generator) < _COARSE_SHARE:
        axis, factor = (int(torch.randint(n, (), generator=generator)) for n in (3, 3))
        size = list(image.shape)
        size[axis] = max(2, size[axis] // (factor + 2))
        x = F.interpolate(x, size=tuple(size), mode="area")
        x = F.interpolate(x, size=tuple(image.shape), mode="trilinear", align_corners=False)
    return x[0, 0]
