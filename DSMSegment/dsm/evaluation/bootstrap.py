"""Confidence intervals over cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

_LEVEL = 0.95
_RESAMPLES = 1000
_SEED = 0  # so that a report can be repeated


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over cases and its 95 % interval.

    Args:
        mean: Of all cases.
        low: Lower end; equal to the upper one for a single case, where nothing can be said.
        high: Upper end.
        n: Number of cases.
    """

    mean: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """Return the numbers as a report holds them."""
        return {key: round(value, 5) for key, value in asdict(self).items()}


def bootstrap_mean(values: Sequence[float], weights: Sequence[float] | None = None) -> Interval:
    """Percentile bootstrap of a mean, cases drawn with replacement.

    Args:
        values: One value a case, at least one. Differences of two models on the same cases make it a paired bootstrap.
        weights: Of the cases in the mean: for a share of lesions, how many each case has.
    """
    array = np.asarray(values, dtype=np.float64)
    weight = np.ones_like(array) if weights is None else np.asarray(weights, dtype=np.float64)
    drawn = _draws(len(array))
    means = (array * weight)[drawn].sum(axis=1) / weight[drawn].sum(axis=1)
    return _interval(float(np.average(array, weights=weight)), means, len(array))


def bootstrap_mean_of_columns(table: np.ndarray) -> Interval:
    """Percentile bootstrap of the mean of the columns' means: the Dice over several names.

    Args:
        table: `(cases, names)`, NaN where a case has no value; every name has one somewhere. Cases that have none do
            not count.
    """
    table = table[~np.isnan(table).all(axis=1)]
    drawn = table[_draws(len(table))]
    known = ~np.isnan(drawn)
    counts = known.sum(axis=1)
    sums = np.where(known, drawn, 0).sum(axis=1)
    # A name of few cases may be missing from a resample; it is left out of the mean there.
    columns = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    there = counts > 0
    means = np.where(there, columns, 0).sum(axis=1) / there.sum(axis=1)
    return _interval(float(np.nanmean(np.nanmean(table, axis=0))), means, len(table))


def _draws(num_cases: int) -> np.ndarray:
    """Indices of the cases of each resample `(resamples, cases)`."""
    return np.random.default_rng(_SEED).integers(num_cases, size=(_RESAMPLES, num_cases))


def _interval(mean: float, means: np.ndarray, num_cases: int) -> Interval:
    tail = (1 - _LEVEL) / 2 * 100
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(low), float(high), num_cases)
