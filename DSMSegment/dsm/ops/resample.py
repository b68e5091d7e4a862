"""Linear resampling along the axes of a grid, with anti-aliasing where the new grid is coarser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsm.ops.linear import linear

_CHUNK_VOXELS = 16_000_000
# Output voxels of a product: fewer leave more of the matrix's zeros out, more make products that run at full speed.
_BAND = 48


def resample(
    volume: Tensor, *, origin: Sequence[float], step: Sequence[float], size: Sequence[int], antialias: bool = True
) -> Tensor:
    """Sample a volume at `origin + step * n` along each axis.

    Linear resampling is separable: products with small matrices along three axes.
    An axis that only is cut or flipped is not touched by arithmetic: its values come out bit for bit.

    Args:
        volume: `(I, J, K)`, any real dtype, any positive strides.
        origin: Input voxel coordinate of output voxel 0, along i, j, k. Centres of voxels are whole numbers.
        step: Input voxels from one output voxel to the next; negative walks backwards, never 0.
        size: Output voxels along i, j, k.
        antialias: Widen the triangle filter to `|step|` where `|step| > 1`, so that every input voxel counts.

    Returns:
        `size`, float32, contiguous. Positions outside of the input repeat its border.

    Example:
        >>> resample(torch.arange(4.0).view(4, 1, 1), origin=(0.5, 0, 0), step=(1, 1, 1), size=(3, 1, 1)).flatten()
        tensor([0.5000, 1.5000, 2.5000])
    """
    # Memory order: the products read long runs, and a transposed copy is made of the (usually smaller) result instead.
    order = sorted(range(3), key=volume.stride, reverse=True)
    slow, middle, fast = (
        _Axis.of(volume.shape[axis], origin[axis], step[axis], size[axis], antialias, volume.device) for axis in order
    )
    source = volume.permute(order)[slow.used, middle.used, fast.used]
    planes = torch.empty((len(source), middle.size, fast.size), dtype=torch.float32, device=volume.device)
    # A few planes at a time: a float copy of the whole input would be the largest array of all.
    length = max(1, _CHUNK_VOXELS // max(1, source[0].numel()))
    for start in range(0, len(source), length):
        part = source[start : start + length].to(torch.float32)
        planes[start : start + length] = middle.apply(fast.apply(part, 2), 1)
    result = slow.apply(planes, 0)
    inverse = [order.index(axis) for axis in range(3)]
    return result.permute(inverse).contiguous()


def resample_ref(
    volume: Tensor, *, origin: Sequence[float], step: Sequence[float], size: Sequence[int], antialias: bool = True
) -> Tensor:
    """Readable reference of `resample`: one dense matrix per axis."""
    matrices = []
    for length, start, stride, count in zip(volume.shape, origin, step, size, strict=True):
        width = max(1.0, abs(stride)) if antialias else 1.0
        position = (start + stride * torch.arange(count, dtype=torch.float64)).clamp(-0.5, length - 0.5)
        voxel = torch.arange(length, dtype=torch.float64)
        weight = (1 - (position[:, None] - voxel).abs() / width).clamp(min=0)
        matrices.append(weight / weight.sum(dim=1, keepdim=True))
    return torch.einsum("ijk,ai,bj,ck->abc", volume.double(), *matrices).float()


def linear_taps(
    length: int, *, origin: float, step: float, size: int, antialias: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return indices and weights of the input voxels for each output voxel of one axis.

    Args:
        length: Input voxels.
        origin: Input coordinate of output voxel 0.
        step: Input voxels from one output voxel to the next.
        size: Output voxels.
        antialias: As in `resample`.
        device: Where the result lives.

    Returns:
        Indices `(size, taps)` int64 and weights `(size, taps)` float32 with rows that sum to 1.
    """
    width = max(1.0, abs(step)) if antialias else 1.0
    # float64: at voxel 1000 a float32 position is off by 6e-5 of a voxel already.
    position = origin + step * torch.arange(size, dtype=torch.float64, device=device)
    # Half a voxel outside the border voxel still has a weight, so no row can sum to 0.
    position = position.clamp(-0.5, length - 0.5)
    first = torch.ceil(position - width).to(torch.int64)
    index = first[:, None] + torch.arange(math.floor(2 * width) + 1, device=device)
    weight = (1 - (index - position[:, None]).abs() / width).clamp(min=0)
    weight = torch.where((index >= 0) & (index < length), weight, 0.0)
    weight = weight / weight.sum(dim=1, keepdim=True)
    return index.clamp(0, length - 1), weight.to(torch.float32)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Resampling of one axis.

    Args:
        used: Input voxels that count.
        size: Output voxels.
        bands: Parts of the output, or None where the used voxels are the output.
        flip: Whether the used voxels come out backwards, where there are no bands.
    """

    used: slice
    size: int
    bands: tuple[_Band, ...] | None
    flip: bool = False

    @classmethod
    def of(cls, length: int, origin: float, step: float, size: int, antialias: bool, device: torch.device) -> _Axis:
        last = origin + step * (size - 1)
        low, high = min(origin, last), max(origin, last)
        if abs(step) == 1 and float(origin).is_integer() and low >= 0 and high <= length - 1:
            return cls(slice(int(low), int(high) + 1), size, None, flip=step < 0)
        index, weight = linear_taps(length, origin=origin, step=step, size=size, antialias=antialias, device=device)
        first = int(index.min())
        used = slice(first, int(index.max()) + 1)
        bands = tuple(_Band.of(i - first, w) for i, w in zip(index.split(_BAND), weight.split(_BAND), strict=True))
        return cls(used, size, bands)

    def apply(self, x: Tensor, axis: int) -> Tensor:
        """Resample the used voxels along one axis of three.

        By products with matrices that hold zeros, but products: faster than gathering what is not zero.
        """
        if self.bands is None:
            return x.flip(axis) if self.flip else x
        parts = [band.apply(x, axis) for band in self.bands]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=axis)


@dataclass(frozen=True, slots=True)
class _Band:
    """Neighbouring output voxels of an axis.

    Args:
        first: First input voxel that counts.
        matrix: `(output voxels, input voxels)`.
    """

    first: int
    matrix: Tensor

    @classmethod
    def of(cls, index: Tensor, weight: Tensor) -> _Band:
        first, stop = int(index.min()), int(index.max()) + 1
        matrix = torch.zeros((len(index), stop - first), dtype=torch.float32, device=index.device)
        return cls(first, matrix.scatter_add_(1, index - first, weight))

    def apply(self, x: Tensor, axis: int) -> Tensor:
        x = x.narrow(axis, self.first, self.matrix.shape[1])
        if axis == 0:
            return (self.matrix @ x.flatten(1)).unflatten(1, x.shape[1:])
        return linear(x, self.matrix) if axis == 2 else self.matrix @ x
