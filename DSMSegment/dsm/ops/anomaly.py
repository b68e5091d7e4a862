"""Anomaly map: inverse of the strongest organ claim per voxel."""

from __future__ import annotations

import torch
from torch import Tensor

# Percentiles instead of minimum and maximum: one odd voxel must not set the scale of a whole scan.
_LOW, _HIGH = 0.01, 0.99


def anomaly_map(organ_affinity: Tensor) -> Tensor:
    """Scale `-max_n M_n` to [0, 1] per scan.

    Args:
        organ_affinity: Logits of the organ queries only, `(batch, organs, voxels)`.

    Returns:
        `(batch, voxels)` in [0, 1]; 1 where no organ query claims the voxel.

    References:
        `a = -max_n M_n`: MaxQuery (Yuan et al. 2023, arXiv 2304.00212); ZePT and DSM (arXiv 2506.12747) use it as a
        visual prompt. Here per scan and over organ queries only.
    """
    anomaly = -organ_affinity.amax(dim=1)
    low, high = _percentiles(anomaly.detach())
    return ((anomaly - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)


def _percentiles(values: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high percentile per row by order statistics (torch.quantile refuses more than 16 M values)."""
    count = values.shape[1]
    low = values.kthvalue(max(1, round(_LOW * count)), dim=1, keepdim=True).values
    high = values.kthvalue(max(1, round(_HIGH * count)), dim=1, keepdim=True).values
    return low, torch.maximum(high, low)
