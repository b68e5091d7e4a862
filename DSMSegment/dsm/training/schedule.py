"""Learning rate within a phase."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch.optim import Optimizer

_EQUAL: Mapping[str, float] = MappingProxyType({})


class RatePhase(Protocol):
    """Learning-rate fields of a phase; see `dsm.training.recipe.Phase`."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def lr(self) -> float:
        """Rate at the start."""

    @property
    def lr_end(self) -> float | None:
        """Rate at the end; None keeps the rate of the start."""

    @property
    def warmup(self) -> int:
        """Steps over which the rate rises from 0."""


def learning_rate(phase: RatePhase, step: int) -> float:
    """Return the rate at a step of the phase: linear from `lr` to `lr_end`, after a linear warm-up."""
    end = phase.lr if phase.lr_end is None else phase.lr_end
    rate = phase.lr + (end - phase.lr) * step / phase.steps
    return rate * (step + 1) / phase.warmup if step < phase.warmup else rate


def set_learning_rate(optimizer: Optimizer, phase: RatePhase, step: int, shares: Mapping[str, float] = _EQUAL) -> None:
    """Set the rate of all parameter groups; `shares` multiply that of groups with such a `"part"`."""
    rate = learning_rate(phase, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * shares.get(group.get("part", ""), 1.0)
