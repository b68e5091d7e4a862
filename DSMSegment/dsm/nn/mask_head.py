"""Mask and presence heads: a query becomes weights that are global to the volume."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsm.ops.row_product import row_product

_PART_VOXELS = 100_000


class MaskHead(nn.Module):
    """`w, b = MLP(Q)`, `logit(x) = γ ⟨E(x), w⟩ + b`: one product per prompt on an encoded scan.

    Args:
        dim: Channels of the queries.
        embed_dim: Channels of the embedding E.
    """

    def __init__(self, dim: int, embed_dim: int) -> None:
        super().__init__()
        layers = [nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU()]
        last = nn.Linear(dim, embed_dim + 1)
        nn.init.constant_(last.bias[-1:], -2.0)  # most voxels belong to no prompt
        self.mlp = nn.Sequential(*layers, last)
        self.gamma = nn.Parameter(torch.tensor(10.0))

    def forward(self, queries: Tensor, embedding: Tensor) -> Tensor:
        """Queries `(batch, prompts, dim)`, E `(batch, embed_dim, i, j, k)` → logits `(batch, prompts, i, j, k)`."""
        weights, bias = self.mlp(queries).split([embedding.shape[1], 1], dim=-1)
        weights, voxels = self.gamma * weights, embedding.flatten(2)
        if voxels.dtype == torch.float16 and weights.dtype == torch.float32:
            # An embedding that was stored small (memory is short) is converted a part at a time.
            logits = torch.cat([weights @ part.float() for part in voxels.split(_PART_VOXELS, dim=2)], dim=2)
        else:
            logits = row_product(weights, voxels)
        logits += bias  # `baddbmm` would write the bias everywhere first, and read it again
        return logits.unflatten(-1, embedding.shape[2:])


class PresenceHead(nn.Sequential):
    """Logit that the named structure is in the volume at all."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 1), nn.Flatten(-2))
