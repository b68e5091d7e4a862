"""The training objective of one crop: masks, every level's assignment, text-only prompts, tumors, presence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.nn.kmax_layer import KMaxSSMLayer
from dsm.nn.prompt_batch import PromptBatch
from dsm.training.crops import Crop
from dsm.training.losses import assignment_loss, dice_loss, level_masks, mask_loss
from dsm.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a model as rows and vectors.

    Attributes:
        organs: Row of each organ.
        tumors: Row of each tumor.
        text: Centred text vector of each name.
    """

    organs: dict[str, int]
    tumors: dict[str, int]
    text: dict[str, Tensor]

    def batch(self, names: list[str], *, text_only: bool) -> PromptBatch:
        """Prompts for some names."""
        none = torch.full((len(names),), -1)
        tumor = torch.tensor([name in self.tumors for name in names], dtype=torch.bool)
        rows = torch.tensor([self.tumors.get(name, -1) for name in names])
        return PromptBatch(
            text=torch.stack([self.text[name] for name in names]),
            organ_index=none,
            is_tumor=tumor,
            tumor_index=none if text_only else rows,
        )


def training_loss(
    net: DSMNet, crop: Crop, names: Names, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one crop and its parts; under autocast the network runs in bfloat16, the losses in float32.

    Args:
        net: In training mode.
        crop: The sample.
        names: What the network can be asked.
        recipe: Weights of the parts.
        generator: Source of randomness (id dropout, which names are asked by text).
    """
    known = torch.rand(len(names.organs), generator=generator) >= recipe.id_dropout
    encoding = net.encode(crop.image.contiguous(memory_format=torch.channels_last_3d), known_organs=known)
    parts: dict[str, Tensor] = {}
    organs = [i for i, name in enumerate(crop.names) if name in names.organs]
    if organs:
        parts |= _organ_losses(net, encoding, crop.masks[organs], [crop.names[i] for i in organs], names, recipe)
    parts |= _prompt_losses(net, encoding, crop, names, recipe, generator)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _organ_losses(
    net: DSMNet, encoding: Encoding, masks: Tensor, found: list[str], names: Names, recipe: Recipe
) -> dict[str, Tensor]:
    annotated = torch.tensor([names.organs[name] for name in found])
    logits = net.mask_head(encoding.organ_queries, encoding.embedding)[0].float()
    zero = logits.new_zeros(())
    levels = []
    for index, affinity in enumerate(encoding.organ_affinities):
        target = level_masks(masks, affinity.shape[2:])
        layer = cast("KMaxSSMLayer", net.kmax_layers[index])
        levels.append(assignment_loss(affinity[0].float(), layer.void, target, annotated))
    presence = net.presence_head(encoding.organ_queries)[0, annotated].float()
    is_present = masks.flatten(1).any(dim=1).to(presence.dtype)
    return {
        "mask": dice_loss(logits[annotated], masks) + assignment_loss(logits, zero, masks.float(), annotated),
        "levels": recipe.level_weight * torch.stack(levels).mean(),
        "presence": recipe.presence_weight * F.binary_cross_entropy_with_logits(presence, is_present),
    }


def _prompt_losses(
    net: DSMNet, encoding: Encoding, crop: Crop, names: Names, recipe: Recipe, generator: torch.Generator
) -> dict[str, Tensor]:
    """Some names asked by their text alone; all annotated tumors."""
    parts = {}
    order = torch.randperm(len(crop.names), generator=generator).tolist()
    organs = [i for i in order if crop.names[i] in names.organs][: recipe.text_prompts]
    tumors = [i for i in order if crop.names[i] in names.tumors]
    hide_id = bool(torch.rand((), generator=generator) < recipe.id_dropout)
    for part, rows, weight, text_only in (
        ("text", organs, recipe.text_weight, True),
        ("tumor", tumors, recipe.tumor_weight, hide_id),
    ):
        if rows and weight:
            decoded = net.decode(encoding, names.batch([crop.names[i] for i in rows], text_only=text_only))
            masks = crop.masks[rows]
            is_present = masks.flatten(1).any(dim=1).float()
            presence = F.binary_cross_entropy_with_logits(decoded.presence[0].float(), is_present)
            parts[part] = (
                weight * mask_loss(decoded.logits[0].float(), masks) + weight * recipe.presence_weight * presence
            )
    return parts
