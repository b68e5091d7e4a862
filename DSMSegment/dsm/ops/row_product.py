"""Products of a few queries with the many rows of a map, with channels-last gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def row_product(queries: Tensor, columns: Tensor) -> Tensor:
    """Compute `queries @ columns`; the gradient of `columns` has the layout of channels-last maps.

    A gradient in another memory order than its map costs each later operator of the backward pass ten times as much.

    Args:
        queries: `(batch, queries, dim)`.
        columns: `(batch, dim, voxels)`: a flattened channels-last map.

    Returns:
        `(batch, queries, voxels)`.
    """
    if torch.is_autocast_enabled(columns.device.type):
        # oneDNN would copy the columns row by row first, ten times as long as the product takes.
        return (columns.mT @ queries.mT).mT.contiguous()
    if not (torch.is_grad_enabled() and columns.requires_grad):
        return queries @ columns
    result: Tensor = _RowProduct.apply(queries, columns)
    return result


class _RowProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(queries, columns)
        return queries @ columns

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        queries, columns = ctx.saved_tensors
        return grad @ columns.transpose(1, 2), (grad.transpose(1, 2) @ queries).transpose(1, 2)
