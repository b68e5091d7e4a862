"""k-means step of the mask decoder: hard assignment of voxels to queries, and the centre update."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def hard_assignment(affinity: Tensor, void: Tensor) -> Tensor:
    """Assign each voxel to its best query, or to none.

    Args:
        affinity: Mask logits `(batch, queries, voxels)`.
        void: Logit of belonging to no query, one number.

    Returns:
        One-hot assignment `(batch, queries, voxels)` in the type of `affinity`; a void voxel is zero in every row.

    References:
        kMaX-DeepLab (Yu et al. 2022), argmax over queries; the void row is ours (`docs/explanation/method.md`).
    """
    best, index = affinity.max(dim=1, keepdim=True)
    claimed = (best > void).to(affinity.dtype)
    return torch.zeros_like(affinity).scatter_(1, index, claimed)


def center_update(assignment: Tensor, values: Tensor) -> Tensor:
    """Average the values assigned to each query.

    Args:
        assignment: `(batch, queries, voxels)`, zeros and ones.
        values: `(batch, voxels, dim)`.

    Returns:
        `(batch, queries, dim)`: the sum over owned voxels divided by their number plus 1, so that a query that owns
        nothing gets 0 and the size of the volume does not matter.
    """
    return (assignment @ values) / (assignment.sum(-1, keepdim=True) + 1)
