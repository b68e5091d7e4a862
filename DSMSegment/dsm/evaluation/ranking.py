"""Threshold-free ranking of tumor voxels by a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True, slots=True)
class Ranking:
    """A score over two groups of voxels.

    Args:
        auroc: Chance that a tumor voxel scores higher than another one; equal scores count half.
        fpr95: Share of the others that score at least as high as the 95 % highest tumor voxels.
    """

    auroc: float
    fpr95: float


def rank(positives: np.ndarray, negatives: np.ndarray) -> Ranking:
    """Compare the scores of tumor voxels with those of others, at least one of each.

    Args:
        positives: Scores of tumor voxels `(n,)`.
        negatives: Scores of other voxels `(m,)`.
    """
    n, m = len(positives), len(negatives)
    ranks = rankdata(np.concatenate([positives, negatives]))
    auroc = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    # The highest threshold that keeps 95 % of the tumor.
    threshold = np.sort(positives)[::-1][-(-95 * n // 100) - 1]
    return Ranking(float(auroc), float(np.mean(negatives >= threshold)))
