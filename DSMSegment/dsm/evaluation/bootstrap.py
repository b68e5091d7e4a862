"""Confidence interval of a mean over cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap of the mean, cases drawn with replacement.

    Args:
        values: One value a case, at least one.
        level: Coverage.
        resamples: Number of resamples.
        seed: Of the random numbers, so that a report can be repeated.

    Returns:
        Lower and upper end; equal for a single case, where nothing can be said.
    """
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = rng.choice(array, size=(resamples, len(array))).mean(axis=1)
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
