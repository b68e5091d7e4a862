"""Logistic regression with weights of one sign, for few samples."""

from __future__ import annotations

import numpy as np
from scipy import optimize

_SHRINK = 0.01  # of the squares of all weights but the first


def fit_logistic(features: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Fit weights of the logistic function to samples, both classes weighing the share that they have.

    Args:
        features: `(n, d)`; the first is constant. More of any other one makes the truth likelier, never less likely.
        truth: Bool `(n,)`.

    Returns:
        d weights, all but the first at least 0.
    """
    sign = np.where(truth, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (features @ weights)
        value = np.logaddexp(0, -margin).mean() + _SHRINK * np.square(weights[1:]).sum()
        slope = -(sign / (1 + np.exp(np.clip(margin, -50, 50)))) @ features / len(sign)
        slope[1:] += 2 * _SHRINK * weights[1:]
        return float(value), slope

    start = np.zeros(features.shape[1])
    bounds = [(None, None), *[(0.0, None)] * (features.shape[1] - 1)]
    found = optimize.minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return tuple(float(weight) for weight in found.x)
