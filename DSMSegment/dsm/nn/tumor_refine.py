"""Tumor query refinement: attention biased towards voxels that no organ query claims."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.attention import Attention, FeedForward
from dsm.nn.kmax_layer import attend_to_organs


class TumorRefine(nn.Module):
    """Cross-attention under the bias `β (ã - ½)`, then self-attention with the organ queries, then feed-forward.

    The bias is soft, so no voxel is ever excluded; β is positive and learned.

    Args:
        dim: Channels of the queries and of the level's values.
        num_heads: Heads.

    References:
        DSM (arXiv 2506.12747), anomaly-prompted tumor queries; β and the separate query set are ours.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.cross_norm = nn.LayerNorm(dim)
        self.memory_norm = nn.LayerNorm(dim)
        self.cross = Attention(dim, num_heads)
        self.raw_beta = nn.Parameter(torch.tensor(4.0).expm1().log())  # softplus(raw) = 4
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, num_heads)
        self.feed_forward = FeedForward(dim)

    def keys_values(self, values: Tensor) -> Tensor:
        """Cross-attention keys and values of a level's tokens `(batch, tokens, dim)`: once per scan."""
        return self.cross.keys_values(self.memory_norm(values))

    def forward(self, queries: Tensor, keys_values: Tensor, prompt_map: Tensor, organs: Tensor) -> Tensor:
        """Refine tumor queries.

        Args:
            queries: `(batch, prompts, dim)`.
            keys_values: From `keys_values`.
            prompt_map: Where to look, in [0, 1], `(batch, 1 or prompts, tokens)`: the anomaly map, or denoised visual
                prompts.
            organs: Finished organ queries `(batch, organs, dim)`.

        Returns:
            `(batch, prompts, dim)`.
        """
        bias = F.softplus(self.raw_beta) * (prompt_map - 0.5)
        queries = queries + self.cross(self.cross_norm(queries), keys_values, bias[:, None])
        return attend_to_organs(self, queries, organs)
