"""Multi-head attention with an additive bias and keys that can be computed once."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Pre-projected attention: `keys_values` once per scan, `forward` per prompt.

    Args:
        dim: Channels of queries and result.
        num_heads: Heads; must divide `dim`.
        context_dim: Channels of what is attended to (default `dim`).
    """

    def __init__(self, dim: int, num_heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def keys_values(self, context: Tensor) -> Tensor:
        """`(batch, tokens, context_dim)` → keys and values `(2, batch, heads, tokens, head_dim)`."""
        return self.key_value(context).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, queries: Tensor, keys_values: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend from `(batch, queries, dim)`; `bias` is added to the logits `(batch, heads, queries, tokens)`."""
        keys, values = keys_values
        q = self.query(queries).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        return self.out(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Sequential):
    """Pre-norm two-layer perceptron, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
