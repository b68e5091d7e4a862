"""k-means mask attention: queries gather the voxels assigned to them (object-aware feature grouping)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.assignment_refiner import AssignmentRefiner
from dsm.nn.attention import Attention, FeedForward
from dsm.nn.convolution import Conv3d, NormedConvolution
from dsm.ops.kmeans import center_update, hard_assignment
from dsm.ops.row_product import row_product
from dsm.ops.unit_length import unit_length


@dataclass(frozen=True, slots=True)
class LevelMemory:
    """One level as tokens: `keys` (batch, dim, voxels) of unit length and `values` (batch, voxels, dim)."""

    keys: Tensor
    values: Tensor


class LevelTokens(nn.Module):
    """Turn a feature map into the keys and values that the k-means layers of its level share."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.key = Conv3d(channels, dim, 1)
        self.value = NormedConvolution(Conv3d(channels, dim, 1, bias=False), nn.BatchNorm3d(dim))

    def forward(self, features: Tensor) -> LevelMemory:
        """`(batch, channels, i, j, k)` → tokens in raster order."""
        keys = self.key(features)
        keys = unit_length(keys) if torch.is_grad_enabled() else F.normalize(keys, dim=1, out=keys)
        return LevelMemory(keys=keys.flatten(2), values=self.value(features).flatten(2).transpose(1, 2))


@dataclass(frozen=True, slots=True)
class OrganState:
    """State of a k-means layer for later prompts: organ queries (batch, organs, dim) and the strongest claim.

    `claim` is `max(max_n M_n, void)` per voxel, `(batch, voxels)`: a prompt owns a voxel where it beats this.
    """

    queries: Tensor
    claim: Tensor


class KMaxSSMLayer(nn.Module):
    """One k-means step, self-attention and a feed-forward layer.

    Organ queries compete with one another for each voxel; their assignment is refined by a state-space block. Other
    prompts take the same step against the organs' claims, each on its own, so one prompt never changes another.

    Args:
        dim: Channels of the queries.
        num_heads: Heads of the self-attention.
        num_organs: Number of organ queries.
        refine: Refine the assignment (12 and 24 mm only: a scan on a finer grid costs more than the convolutions).

    References:
        DSM (arXiv 2506.12747) after kMaX-DeepLab (Yu et al. 2022); equations in `docs/explanation/method.md`.
    """

    def __init__(self, dim: int, num_heads: int, num_organs: int, *, refine: bool) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.to_key = nn.Linear(dim, dim)
        self.log_temperature = nn.Parameter(torch.tensor(1.0))
        self.void = nn.Parameter(torch.tensor(0.0))
        self.refiner = AssignmentRefiner(num_organs) if refine else None
        self.update = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, num_heads)
        self.feed_forward = FeedForward(dim)

    def forward(self, queries: Tensor, memory: LevelMemory) -> tuple[Tensor, Tensor, OrganState]:
        """Update organ queries `(batch, organs, dim)`; also returns the affinity `(batch, organs, voxels)`."""
        affinity = self._affinity(queries, memory)
        if self.refiner is not None:
            affinity = self.refiner(affinity)
        queries = queries + self.update(center_update(hard_assignment(affinity, self.void), memory.values))
        state = OrganState(queries, torch.maximum(affinity.amax(dim=1), self.void))
        normed = self.attention_norm(queries)
        queries = queries + self.attention(normed, self.attention.keys_values(normed))
        return queries + self.feed_forward(queries), affinity, state

    def prompt(self, queries: Tensor, memory: LevelMemory, organs: OrganState) -> Tensor:
        """Update free-text queries `(batch, prompts, dim)` against the finished organ queries."""
        affinity = self._affinity(queries, memory)
        owned = (affinity > organs.claim[:, None]).to(affinity.dtype)
        queries = queries + self.update(center_update(owned, memory.values))
        return attend_to_organs(self, queries, organs.queries)

    def _affinity(self, queries: Tensor, memory: LevelMemory) -> Tensor:
        keys = self.to_key(self.query_norm(queries)) * self.log_temperature.exp()
        return row_product(keys, memory.keys)


def attend_to_organs(layer: nn.Module, queries: Tensor, organs: Tensor) -> Tensor:
    """Self-attention of each prompt over the organ queries and itself only, then the feed-forward layer.

    Args:
        layer: Has `attention_norm`, `attention` and `feed_forward`.
        queries: `(batch, prompts, dim)`.
        organs: `(batch, organs, dim)`.
    """
    batch, prompts, dim = queries.shape
    alone = queries.reshape(batch * prompts, 1, dim)
    context = torch.cat([organs.repeat_interleave(prompts, dim=0), alone], dim=1)
    normed = layer.attention_norm(context)
    alone = alone + layer.attention(normed[:, -1:], layer.attention.keys_values(normed))
    alone = alone + layer.feed_forward(alone)
    return alone.reshape(batch, prompts, dim)
