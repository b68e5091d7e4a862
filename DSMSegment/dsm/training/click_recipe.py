"""Recipe of the click network: all settings that determine its weights, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dsm.errors import ConfigError
from dsm.training.click_samples import SampleRules
from dsm.training.recipe import Source, build, read_recipe

KIND = "clicks"  # `kind` in the recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickPhase:
    """One stretch of training with fixed settings.

    Args:
        steps: Optimiser steps.
        window: Voxels along an edge of the windows, a multiple of 16.
        batch: Windows a step.
        lr: Learning rate at the start of the phase.
        lr_end: Learning rate at its end (linear).
        warmup: Steps over which the rate rises from 0.
        freeze_norm: Use BatchNorm's running statistics, as inference will.
    """

    steps: int
    window: int
    batch: int
    lr: float
    lr_end: float | None = None
    warmup: int = 0
    freeze_norm: bool = False

    def __post_init__(self) -> None:
        if self.window <= 0 or self.window % 16:
            raise ConfigError(f"The window is {self.window}; it must be a multiple of 16.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRecipe:
    """Settings of a run; see `recipes/clicks*.yaml`.

    Args:
        kind: `"clicks"`.
        model: Of the network: `name`, `channels`, `detail`, `window`.
        data_root: Folder that the sources' folders are relative to, relative to the recipes' parent.
        sources: Data sets; `hidden` names are no objects.
        phases: In their order.
        samples: What windows are made of.
        rounds: Shares of windows that get 1, 2, 3 ... rounds of clicks.
        same_clicks: Share of later rounds that look again without a new click.
        first_weight: Weight of the loss after the first click.
        seed: Of everything random.
        weight_decay: Of AdamW.
        clip_norm: Largest norm of a gradient.
        ema_decay: Of the average of the weights.
        ema_start: Step from which weights are averaged.
        validate_every: Steps.
        validation_windows: Windows of validation cases that are looked at.
        checkpoint_every: Steps.
        start_from: Model folder whose click network the run starts with, relative to the recipes' parent; its
            widths may be smaller.
        precision: `"float32"`, or `"bfloat16"` for the products of the network, where the CPU has instructions for it.
        out: Folder of the run, relative to the recipes' parent.
    """

    kind: str
    model: dict[str, Any]
    data_root: str
    sources: tuple[Source, ...]
    phases: tuple[ClickPhase, ...]
    samples: SampleRules = SampleRules()  # noqa: RUF009  # it cannot change
    rounds: tuple[float, ...] = (0.3, 0.25, 0.2, 0.12, 0.08, 0.05)
    same_clicks: float = 0.2
    first_weight: float = 2.0
    seed: int = 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    ema_start: int = 500
    validate_every: int = 500
    validation_windows: int = 40
    checkpoint_every: int = 100
    start_from: str | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    out: str = "runs/clicks"

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(f"The precision is {self.precision!r}; it must be float32 or bfloat16.")

    @classmethod
    def load(cls, path: Path | str) -> ClickRecipe:
        """Read a recipe.

        Raises:
            ConfigError: If the file is missing, not YAML, or has an unknown or missing key.
        """
        values = read_recipe(path)
        for key, kind in (("sources", Source), ("phases", ClickPhase)):
            if key in values:
                values[key] = tuple(build(kind, item) for item in values[key])
        if "samples" in values:
            values["samples"] = build(SampleRules, values["samples"])
        recipe: ClickRecipe = build(cls, values)
        return recipe

    @property
    def total_steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)
