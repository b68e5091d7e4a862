"""Cubic image window with its own spacing, and the mapping back to the input grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Box, CroppedArray, Index3
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume, voxel_ml
from dsm.inference.body_box import find_body
from dsm.inference.click_channels import SOFT_TISSUE_HU
from dsm.inference.preprocess import as_tensor
from dsm.ops.intensity import percentile_window
from dsm.ops.resample import resample


def soft_tissue_units(volume: Volume) -> tuple[float, float]:
    """Return the intensities that become 0 and 1: the soft tissue window of CT, the percentiles of the body of MR."""
    if volume.modality == "CT":
        return SOFT_TISSUE_HU
    values = volume.array[volume.array > find_body(volume).threshold]
    return percentile_window(as_tensor(values if values.size else volume.array.reshape(-1)))


@dataclass(frozen=True, slots=True)
class ClickWindow:
    """Position and spacing of a window.

    Its axes are those of the input grid in RAS+ order, so an oblique scan is looked at along its own axes.

    Args:
        orientation: From the input grid to its view in RAS+ order.
        input_shape: Of the input grid.
        voxel_mm: Voxel size of the view.
        center: View coordinate of the middle of the window.
        spacing_mm: Voxel size of the window, the same along each axis.
        size: Voxels along each edge.
    """

    orientation: Orientation
    input_shape: Index3
    voxel_mm: tuple[float, float, float]
    center: tuple[float, float, float]
    spacing_mm: float
    size: int

    @classmethod
    def around(cls, volume: Volume, center: Sequence[float], *, spacing_mm: float, size: int) -> ClickWindow:
        """Lay a window around a view coordinate of a volume."""
        orientation = Orientation.of(volume.affine)
        x, y, z = (volume.spacing_mm[axis] for axis in orientation.axes)
        i, j, k = (float(c) for c in center)
        return cls(orientation, volume.shape, (x, y, z), (i, j, k), spacing_mm, size)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel of the window."""
        return voxel_ml(self.spacing_mm * np.eye(3))

    @property
    def view_shape(self) -> Index3:
        """Shape of the input grid in RAS+ order."""
        return self.orientation.shape_to_ras(self.input_shape)

    @property
    def step(self) -> tuple[float, float, float]:
        """View voxels from one voxel of the window to the next."""
        i, j, k = (self.spacing_mm / mm for mm in self.voxel_mm)
        return i, j, k

    @property
    def origin(self) -> tuple[float, float, float]:
        """View coordinate of voxel 0."""
        i, j, k = (c - s * (self.size - 1) / 2 for c, s in zip(self.center, self.step, strict=True))
        return i, j, k

    def from_view(self, point: Sequence[float]) -> tuple[float, float, float]:
        """Return the voxel of the window of a view coordinate."""
        i, j, k = ((p - o) / s for p, o, s in zip(point, self.origin, self.step, strict=True))
        return i, j, k

    def sample(self, array: np.ndarray) -> Tensor:
        """Resample an array of the input grid; the border is repeated outside of it. float32 `(size,) * 3`."""
        origin, step = list(self.origin), list(self.step)
        for row, flip in enumerate(self.orientation.flips):
            if flip:
                origin[row] = self.view_shape[row] - 1 - origin[row]
                step[row] = -step[row]
        tensor = as_tensor(array).permute(tuple(self.orientation.axes))
        return resample(tensor, origin=origin, step=step, size=(self.size,) * 3)

    def sample_mask(self, mask: CroppedArray) -> Tensor:
        """Resample a mask of the input grid: share of each voxel, 0 outside of the mask's box."""
        if not mask.array.size:
            return torch.zeros((self.size,) * 3)
        view = self.orientation.to_ras(mask.array)
        box = self.orientation.box_to_ras(mask.box, self.input_shape)
        padded = torch.from_numpy(np.pad(view != 0, 1).astype(np.uint8))
        origin = [o - s + 1 for o, s in zip(self.origin, box.start, strict=True)]
        return resample(padded, origin=origin, step=self.step, size=(self.size,) * 3)

    def inside(self) -> Tensor:
        """Return the mask of the voxels inside the volume, bool `(size,) * 3`."""
        axes = []
        for origin, step, length in zip(self.origin, self.step, self.view_shape, strict=True):
            position = origin + step * torch.arange(self.size)
            axes.append((position >= -0.5) & (position <= length - 0.5))
        return axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]

    def to_input(self, logits: Tensor) -> CroppedArray:
        """Interpolate logits to the voxels of the input grid in the window and cut them at 0: uint8."""
        starts, stops, origins = [], [], []
        for origin, step, length in zip(self.origin, self.step, self.view_shape, strict=True):
            first = max(0, math.ceil(origin - step / 2))
            last = min(length - 1, math.floor(origin + step * (self.size - 0.5)))
            starts.append(first)
            stops.append(max(first, last + 1))
            origins.append((first - origin) / step)
        view_box = Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))
        if view_box.is_empty:
            return CroppedArray(np.zeros((0, 0, 0), dtype=np.uint8), (0, 0, 0))
        values = resample(
            logits, origin=origins, step=[1 / step for step in self.step], size=view_box.size, antialias=False
        )
        mask = CroppedArray((values > 0).numpy().astype(np.uint8), view_box.start)
        return self.orientation.crop_from_ras(mask, self.input_shape)
