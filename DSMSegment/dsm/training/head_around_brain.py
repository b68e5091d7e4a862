"""Head around the brain of a skull-stripped MR: fluid, skull and scalp of random thickness and intensity."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

_CLOSING_VOXELS = 2  # sulci and ventricles may be as dark as air
# Thickness in mm, and intensity in [0, 1], of the layers from the brain outwards.
_LAYERS = (
    ((1.0, 5.0), (0.0, 0.6)),  # fluid
    ((4.0, 9.0), (0.0, 0.3)),  # skull
    ((3.0, 10.0), (0.2, 1.0)),  # scalp
)
_FACE_MM = 60.0  # how far face and neck reach from the lower part of the brain
_TEXTURE_NODES = 10
_TEXTURE = 0.3


def add_head(image: Tensor, spacing_mm: float, generator: torch.Generator) -> Tensor:
    """Put a head around a brain, so that a network that learns from stripped scans holds on others.

    Args:
        image: `(1, C, I, J, K)` in [0, 1], in RAS order, 0 outside of the brain.
        spacing_mm: Voxel size.
        generator: Source of randomness.

    Returns:
        A new image; windows without values stay so.

    References:
        Domain randomisation: Billot et al., SynthSeg, Medical Image Analysis 86, 2023.
    """
    brain = (image[0, 0] > 0).numpy()
    if not brain.any():
        return image
    brain |= ndimage.binary_closing(brain, iterations=_CLOSING_VOXELS)
    distance = torch.from_numpy(ndimage.distance_transform_edt(~brain).astype(np.float32)) * spacing_mm
    head = torch.zeros_like(distance)
    outer = 0.0
    for thickness, intensity in _LAYERS:
        inner, outer = outer, outer + _between(thickness, generator)
        head = torch.where((distance > inner) & (distance <= outer), _between(intensity, generator), head)
    texture = _field(head.shape, generator)
    heights = np.flatnonzero(brain.any(axis=(0, 1)))
    lower = torch.arange(head.shape[2]) < heights[0] + 0.4 * (heights[-1] - heights[0])
    is_face = (distance > outer) & (distance < _FACE_MM) & lower & (_field(head.shape, generator) > 0)
    head = torch.where(is_face, _between((0.2, 0.9), generator), head) * (1 + _TEXTURE * texture)
    shown = image.flatten(2).amax(dim=2).gt(0)[..., None, None, None]
    return torch.where(torch.from_numpy(brain) | ~shown, image, head.clamp(0, 1))


def _between(limits: tuple[float, float], generator: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand((), generator=generator))


def _field(size: torch.Size, generator: torch.Generator) -> Tensor:
    coarse = 2 * torch.rand((1, 1, *[_TEXTURE_NODES] * 3), generator=generator) - 1
    return F.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0, 0]
