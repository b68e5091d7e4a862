"""Training recipe: all settings that determine the weights, read from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from dsm.errors import ConfigError
from dsm.models.config import as_tuples
from dsm.training.synthetic_lesions import LesionRules
from dsm.training.transplanted_lesions import TransplantRules

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of training with fixed settings.

    Args:
        steps: Optimiser steps.
        spacing_mm: Grid of the crops; coarser first sees more of the body per second.
        crop: Voxels of a crop, multiples of 16.
        lr: Learning rate at the start of the phase.
        lr_end: Learning rate at its end (linear).
        freeze_norm: Use BatchNorm's running statistics, so that training sees what inference will.
        warmup: Steps over which the rate rises from 0.
        frozen: Parts of the network that do not learn in this phase: patterns of parameter names or their beginnings,
            e.g. `kmax_layers` or `pixel_decoder.fusion*.gamma`.
        encoder_rate: Rate of the encoder and the pixel decoder as a share of the others'.
    """

    steps: int
    spacing_mm: float
    crop: tuple[int, int, int]
    lr: float
    lr_end: float | None = None
    freeze_norm: bool = False
    warmup: int = 0
    frozen: tuple[str, ...] = ()
    encoder_rate: float = 1.0

    def __post_init__(self) -> None:
        if len(self.crop) != 3 or any(edge <= 0 or edge % 16 for edge in self.crop):
            raise ConfigError(f"The crop is {list(self.crop)}; it must be three multiples of 16.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set in the mix.

    Args:
        folder: Folder with `dataset.json`, relative to the recipe's `data_root`.
        weight: How often it is drawn, relative to the others.
        add_lungs: Add lungs from air as a pseudo-label (CT without lung labels).
        add_soft_tissue: Add soft tissue by its density as a host of lesions (CT).
        add_skeleton: Add bone by its density, of which `Recipe.skeleton` is made (CT in which bone is not clipped).
        add_brain_tissue: Add the brain as a host of lesions (skull-stripped MR).
        add_body: Fill the unlabelled inside of the body with fat and muscle (label maps alone, of a trunk).
        synthetic_lesions: Put lesions into the crops of this set.
        transplanted_lesions: Put real lesions of other cases into the crops of this set.
        synthetic_images: Share of crops whose image is synthesised from the label map
            (`dsm.training.synthetic_images`); cases without an image always are, if it is not 0.
        synthetic_mr: Share of the synthetic images that are MR-like; the others are CT-like.
        stripped: Share of the synthetic images that show the brain alone.
        mirrored: Exchange left and right in half of the crops; for sets without names that have a side.
        deformed: Share of crops of real images that are deformed smoothly.
        thick_slices: Share of crops of real images that are seen in slices of 3 to 7 mm.
        with_head: Share of crops of skull-stripped MR that get a head around the brain.
        unions: Further names, each made of annotated names of the set.
        absent_regions: Body regions (`Structure.body_region`) that no scan of the set shows: the model's names of them
            are absent there, unless they are annotated.
        absent: Names that no scan of the set shows.
        hidden: Annotated names that training must not see: left out to be measured as unseen.
    """

    folder: str
    weight: float
    add_lungs: bool = False
    add_soft_tissue: bool = False
    add_skeleton: bool = False
    add_brain_tissue: bool = False
    add_body: bool = True
    synthetic_lesions: bool = False
    transplanted_lesions: bool = False
    synthetic_images: float = 0.0
    synthetic_mr: float = 0.5
    stripped: float = 0.0
    mirrored: bool = False
    deformed: float = 0.0
    thick_slices: float = 0.0
    with_head: float = 0.0
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    absent_regions: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings of a run; see the YAML files in `recipes/`.

    `precision: bfloat16` runs the network's products in bfloat16 where the CPU has instructions for it (2-3x faster),
    else in float32; `auto` measures a step in both and takes the faster. Weights, losses and the optimiser stay in
    float32. `start_from` is a model folder, relative to the
    recipes' parent, whose weights the run starts with. With `text_tower: codes` in `model`, names are random codes in
    place of text vectors (an ablation: class ids alone). `crops_per_step` is the global batch, however many processes
    share it. At most `structure_prompts` of a crop's further structures are asked for in a step. `channel_dropout` is
    the share of crops in which a CT's windows after the first are hidden, as in the sets that lack them.
    `random_contrast` is the share of crops whose intensities go through a random curve and a bias field, so that no
    sequence and no contrast phase is memorised. `name_rate` is the learning rate of the vectors of structures
    and tumors as a multiple of the others': a name is seen in few steps, and its vector starts at zero.
    `skeleton` names the organs that are bones: scans with bone by its density (`Source.add_skeleton`) teach which
    voxels belong to any of them, while label maps teach which one.
    `organ_balance` and `tumor_balance` are the balances of their masks (`dsm.training.losses.mask_loss`).
    """

    model: dict[str, Any]
    data_root: str
    sources: tuple[Source, ...]
    phases: tuple[Phase, ...]
    start_from: str | None = None
    synthetic_lesions: LesionRules | None = None
    transplanted_lesions: TransplantRules | None = None
    seed: int = 0
    crops_per_step: int = 1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    id_dropout: float = 0.3
    text_prompts: int = 3
    structure_prompts: int = 4
    structure_weight: float = 1.0
    skeleton: tuple[str, ...] = ()
    skeleton_weight: float = 0.5
    channel_dropout: float = 0.3
    random_contrast: float = 0.0
    name_rate: float = 1.0
    start_share: float = 0.0
    tumor_prompts: int = 4
    class_centered: float = 0.75
    organ_balance: float = 0.5
    tumor_balance: float = 0.5
    level_weight: float = 0.3
    presence_weight: float = 0.1
    text_weight: float = 0.3
    tumor_weight: float = 0.3
    anomaly_weight: float = 0.0
    alignment_weight: float = 0.0
    denoise_weight: float = 0.3
    visual_prompt_dropout: float = 0.3
    validate_every: int = 500
    validation_cases: tuple[str, ...] = ()
    checkpoint_every: int = 100
    precision: Precision = "auto"
    out: str = "runs/dsm"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            known = " or ".join(get_args(Precision))
            raise ConfigError(f"The precision is {self.precision!r}; it must be {known}.")

    @classmethod
    def load(cls, path: Path | str) -> Recipe:
        """Read a recipe.

        Raises:
            ConfigError: If the file is missing, not YAML, or has an unknown or missing key.
        """
        values = read_recipe(path)
        for key, kind in (("sources", Source), ("phases", Phase)):
            if key in values:
                values[key] = tuple(build(kind, item) for item in values[key])
        for key, rules in (("synthetic_lesions", LesionRules), ("transplanted_lesions", TransplantRules)):
            if values.get(key):
                values[key] = build(rules, values[key])
        values["skeleton"] = tuple(values.get("skeleton", ()))
        values["validation_cases"] = tuple(values.get("validation_cases", ()))
        recipe: Recipe = build(cls, values)
        return recipe

    @property
    def total_steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)


def read_recipe(path: Path | str) -> dict[str, Any]:
    """Read the keys of a recipe of any kind.

    Raises:
        ConfigError: If the file is missing, not YAML, or has no keys.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", hint="Recipes are in the folder `recipes`.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a recipe: it has no keys.", hint="See the files in `recipes`.")
    return values


def build(kind: type, values: dict[str, Any]) -> Any:
    """Make a dataclass of settings from the keys of a recipe.

    Raises:
        ConfigError: If a key is unknown or missing.
    """
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            raise ConfigError(f"Unknown key {key!r} in the recipe.", hint=hint)
    try:
        return kind(**{key: as_tuples(value) for key, value in values.items()} if kind is not Recipe else values)
    except TypeError as error:
        raise ConfigError(f"The recipe is incomplete: {error}.") from error
