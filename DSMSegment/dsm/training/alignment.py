"""Contrastive alignment of final queries with the text embeddings of their names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Text vectors this similar count as partly the same thing: left and right, an organ and its tumor.
_SOFT_SHARPNESS = 10.0


class AlignmentHead(nn.Module):
    """Projection of queries into the text embedding space; used in training only and not shipped.

    Args:
        dim: Channels of the queries.
        text_dim: Channels of the text vectors.
    """

    def __init__(self, dim: int, text_dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, text_dim))
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, queries: Tensor, text: Tensor) -> Tensor:
        """Loss of queries `(names, dim)` against the text of their names `(names, text_dim)`."""
        logits = F.normalize(self.project(queries), dim=-1) @ F.normalize(text, dim=-1).T
        return soft_contrastive_loss(logits.float() * self.log_scale.exp().clamp(max=100.0), soft_targets(text))


def soft_targets(text: Tensor) -> Tensor:
    """Row-normalised similarity of names: 1 for itself, the less the less two texts have in common."""
    text = F.normalize(text, dim=-1)
    return (_SOFT_SHARPNESS * (text @ text.T - 1)).softmax(dim=-1)


def soft_contrastive_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """`½ (CE(q→t) + CE(t→q))` with soft positives (ZePT; DSM, arXiv 2506.12747).

    Args:
        logits: Scaled cosine of query n and text m `(names, names)`.
        targets: Symmetric up to the row sums, rows sum to 1.
    """
    return 0.5 * (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets))
