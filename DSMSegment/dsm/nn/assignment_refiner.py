"""State-space refinement of the k-means assignment: mask logits read along the scan, both ways."""

from __future__ import annotations

from torch import Tensor, nn

from dsm.nn.mamba2 import Mamba2


class AssignmentRefiner(nn.Module):
    """`M = M₀ + z · BiSSD(LN(M₀))` over the query channels of each voxel; z starts at 0.

    In the published code this block runs without gradients and stays random; here M has its own loss, so it learns.

    Args:
        num_queries: Channels of the assignment.
        width: Channels inside; a multiple of 8, as the CUDA kernels want.

    Shape:
        `(batch, queries, voxels)` → the same, voxels in raster order.

    References:
        DSM (arXiv 2506.12747), state-space refined k-means mask attention.
    """

    def __init__(self, num_queries: int, width: int = 32) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_queries)
        self.enter = nn.Linear(num_queries, width)
        self.ahead = Mamba2(width, headdim=32)
        self.behind = Mamba2(width, headdim=32)
        self.leave = nn.Linear(width, num_queries)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, affinity: Tensor) -> Tensor:
        """Refine mask logits; see the class for shapes."""
        tokens = self.enter(self.norm(affinity.transpose(1, 2)))
        scanned = self.ahead(tokens) + self.behind(tokens.flip(1)).flip(1)
        return affinity + self.leave(scanned).transpose(1, 2)
