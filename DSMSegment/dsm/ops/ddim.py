"""Deterministic sampling of a denoiser that predicts the clean sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

# Noise levels are fractions of this many steps, as the denoiser was trained (diffusers, `squaredcos_cap_v2`).
TRAINING_STEPS = 1000
_MAX_BETA = 0.999


def cosine_signal(step: Tensor) -> Tensor:
    """Share of the signal ᾱ that is left after `step + 1` of the training's steps; 1 for step -1.

    References:
        Cosine schedule: Nichol and Dhariwal 2021 (arXiv 2102.09672), β capped at 0.999.
    """
    return _signal_table()[(step + 1).long()].to(step.device)


def sample(predict_clean: Callable[[Tensor, float], Tensor], noise: Tensor, *, num_steps: int) -> Tensor:
    """Denoise with DDIM at η = 0 (Song et al. 2021, arXiv 2010.02502, eq. 12), predicting x0 at each step.

    Args:
        predict_clean: Maps a noisy sample and its noise level in (0, 1] to the clean sample in [-1, 1].
        noise: Where to start, standard normal.
        num_steps: Evaluations of the denoiser, evenly spaced from the noisiest level down.

    Returns:
        The last prediction of the clean sample.
    """
    levels = torch.linspace(TRAINING_STEPS - 1, -1, num_steps + 1).round()
    x = clean = noise
    for here, following in pairwise(levels):
        clean = predict_clean(x, (float(here) + 1) / TRAINING_STEPS)
        signal, next_signal = cosine_signal(here).item(), cosine_signal(following).item()
        left_noise = (x - math.sqrt(signal) * clean) / math.sqrt(1 - signal)
        x = math.sqrt(next_signal) * clean + math.sqrt(1 - next_signal) * left_noise
    return clean


@lru_cache(maxsize=1)
def _signal_table() -> Tensor:
    """ᾱ before the first step and after each, float64."""
    edge = torch.arange(TRAINING_STEPS + 1, dtype=torch.float64) / TRAINING_STEPS
    curve = torch.cos((edge + 0.008) / 1.008 * math.pi / 2).square()
    beta = (1 - curve[1:] / curve[:-1]).clamp(max=_MAX_BETA)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
