"""Initial query: the text embedding, plus a learned vector for known names."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class QueryInit(nn.Module):
    """`q₀ = Emb(id) · known + MLP(t)`.

    Training hides the id at random, so that the text alone must work and a new name is not a special case.

    Args:
        text_dim: Channels of the text vectors.
        dim: Channels of the queries.
        num_ids: Names with a learned vector.
    """

    def __init__(self, text_dim: int, dim: int, num_ids: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.5 * torch.randn(num_ids, dim))
        # Centred unit vectors have entries of about 1/√text_dim; the norm brings them to the scale of the embedding.
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, text: Tensor, ids: Tensor) -> Tensor:
        """`text` (prompts, text_dim), `ids` (prompts,) with -1 for none → queries (prompts, dim)."""
        known = (ids >= 0).to(text.dtype)[:, None]
        return self.text(text) + known * self.embedding[ids.clamp_min(0)]
