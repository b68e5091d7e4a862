"""Linear resampling along the axes of a grid, with a filter against aliasing where the new grid is coarser."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def resample(
    volume: Tensor, *, origin: Sequence[float], step: Sequence[float], size: Sequence[int], antialias: bool = True
) -> Tensor:
    """Sample a volume at `origin + step * n` along each axis.

    Linear resampling is separable, so three passes with a few neighbours each do what eight neighbours a voxel would.
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
    # Memory order: the passes read long runs, and a transposed copy is made of the (usually smaller) result instead.
    order = sorted(range(3), key=volume.stride, reverse=True)
    result = volume.permute(order)
    # The axis that shrinks most goes first: the later passes then have less to do.
    for axis in sorted(range(3), key=lambda axis: -abs(step[axis])):
        sampling = {"origin": origin[axis], "step": step[axis]}
        result = _resample_axis(result, order.index(axis), **sampling, size=size[axis], antialias=antialias)
    inverse = [order.index(axis) for axis in range(3)]
    return result.to(torch.float32).permute(inverse).contiguous()


def resample_ref(
    volume: Tensor, *, origin: Sequence[float], step: Sequence[float], size: Sequence[int], antialias: bool = True
) -> Tensor:
    """Readable reference of `resample`: one dense matrix an axis."""
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
    """Return which input voxels make each output voxel of one axis, and by how much.

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


def _resample_axis(x: Tensor, axis: int, *, origin: float, step: float, size: int, antialias: bool) -> Tensor:
    length = x.shape[axis]
    last = origin + step * (size - 1)
    if abs(step) == 1 and float(origin).is_integer() and min(origin, last) >= 0 and max(origin, last) <= length - 1:
        start = int(min(origin, last))
        cut = x.narrow(axis, start, size)
        return cut if step > 0 else cut.flip(axis)
    index, weight = linear_taps(length, origin=origin, step=step, size=size, antialias=antialias, device=x.device)
    shape = [1, 1, 1]
    shape[axis] = size
    result = torch.zeros(1)
    for tap in range(index.shape[1]):
        if not weight[:, tap].any():
            continue
        part = x.index_select(axis, index[:, tap]) * weight[:, tap].view(shape)
        result = part if result.ndim != 3 else result.add_(part)
    return result
