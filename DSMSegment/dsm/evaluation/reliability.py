"""Reliability of predicted probabilities: curve, expected calibration error, Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NUM_BINS = 10


def reliability(predicted: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """Compare predicted probabilities with how often they came true, in ten bins of equal width.

    Args:
        predicted: n probabilities, 0 to 1.
        right: Whether each came true.

    Returns:
        `num`; `curve`, a list of `low`, `high`, `num`, `predicted` and `observed` (means; None in an empty bin);
        `expected_calibration_error` (Naeini, Cooper and Hauskrecht 2015: mean distance of both over the bins, weighted
        by `num`) and `brier`; None without samples.
    """
    values, truth = np.asarray(predicted, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins = np.minimum((values * NUM_BINS).astype(int), NUM_BINS - 1)
    curve: list[dict[str, Any]] = []
    error = 0.0
    for number in range(NUM_BINS):
        inside = bins == number
        count = int(inside.sum())
        mean, observed = (float(values[inside].mean()), float(truth[inside].mean())) if count else (None, None)
        if mean is not None and observed is not None:
            error += count * abs(mean - observed)
        curve.append(
            {
                "low": number / NUM_BINS,
                "high": (number + 1) / NUM_BINS,
                "num": count,
                "predicted": None if mean is None else round(mean, 4),
                "observed": None if observed is None else round(observed, 4),
            }
        )
    return {
        "num": len(values),
        "curve": curve,
        "expected_calibration_error": round(error / len(values), 4) if len(values) else None,
        "brier": round(float(np.square(values - truth).mean()), 4) if len(values) else None,
    }
