"""The training objective of one crop: masks, assignments, anomaly, alignment, text-only prompts, tumors, presence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.nn.dsm_net import Decoded, DSMNet, Encoding
from dsm.nn.kmax_layer import KMaxSSMLayer
from dsm.nn.prompt_batch import PromptBatch
from dsm.training.alignment import AlignmentHead
from dsm.training.cases import SKELETON
from dsm.training.crops import Crop
from dsm.training.losses import anomaly_loss, assignment_loss, dice_loss, group_loss, level_masks, mask_loss
from dsm.training.mask_noise import MaskNoise
from dsm.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Label names of a model as rows and embeddings.

    Attributes:
        organs: Row of each organ.
        tumors: Row of each tumor that can be asked; -1 for one without a vector of its own.
        text: Centred text vector of each name.
        structures: Row of each further structure.
    """

    organs: dict[str, int]
    tumors: dict[str, int]
    text: dict[str, Tensor]
    structures: dict[str, int] = field(default_factory=dict)

    def batch(self, names: list[str], *, text_only: bool) -> PromptBatch:
        """Prompts for some names."""
        none = torch.full((len(names),), -1)
        tumor = torch.tensor([name in self.tumors for name in names], dtype=torch.bool)
        rows = torch.tensor([self.tumors.get(name, -1) for name in names])
        structures = torch.tensor([self.structures.get(name, -1) for name in names])
        return PromptBatch(
            text=torch.stack([self.text[name] for name in names]),
            organ_index=none,
            is_tumor=tumor,
            tumor_index=none if text_only else rows,
            structure_index=none if text_only else structures,
        )


def training_loss(
    net: DSMNet,
    crop: Crop,
    names: LabelSet,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    alignment: AlignmentHead | None = None,
    noise: MaskNoise | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one crop and its parts; under autocast the network runs in bfloat16, the losses in float32.

    Args:
        net: In training mode.
        crop: The sample.
        names: What the network can be asked.
        recipe: Weights of the parts.
        generator: Source of randomness (id dropout, which names are asked by text, noise).
        alignment: Aligns queries with their text; without it there is no such part.
        noise: Noise of the denoiser's training; needed where the network has a visual prompt.
    """
    known = torch.rand(len(names.organs), generator=generator) >= recipe.id_dropout
    encoding = net.encode(crop.image.contiguous(memory_format=torch.channels_last_3d), known_organs=known)
    parts: dict[str, Tensor] = {}
    organs = [i for i, name in enumerate(crop.names) if name in names.organs]
    tumors = [i for i, name in enumerate(crop.names) if name in names.tumors]
    lesions = crop.masks[tumors].any(dim=0)
    has_skeleton = bool(recipe.skeleton) and SKELETON in crop.names
    if organs or has_skeleton:
        logits = net.mask_head(encoding.organ_queries, encoding.embedding)[0].float()
    if organs:
        found = [crop.names[i] for i in organs]
        parts |= _organ_losses(net, encoding, logits, crop.masks[organs], lesions, found, names, recipe)
    if has_skeleton:
        bones = [i for i, name in enumerate(crop.names) if name == SKELETON or name in recipe.skeleton]
        rows = torch.tensor([names.organs[name] for name in recipe.skeleton])
        parts["skeleton"] = recipe.skeleton_weight * group_loss(logits, crop.masks[bones].any(dim=0), rows)
    organs = [organs[i] for i in torch.randperm(len(organs), generator=generator).tolist()][: recipe.text_prompts]
    tumors = [tumors[i] for i in torch.randperm(len(tumors), generator=generator).tolist()][: recipe.tumor_prompts]
    structures = [i for i, name in enumerate(crop.names) if name in names.structures]
    structures = [structures[i] for i in torch.randperm(len(structures), generator=generator).tolist()]
    structures = structures[: recipe.structure_prompts]
    hide_id = bool(torch.rand((), generator=generator) < recipe.id_dropout)
    queries, texts = [encoding.organ_queries[0]], [net.organ_text]
    if organs and recipe.text_weight:
        prompts = names.batch([crop.names[i] for i in organs], text_only=True)
        decoded = net.decode(encoding, prompts)
        loss = _prompt_loss(decoded, crop.masks[organs], recipe, balance=recipe.organ_balance)
        parts["text"] = recipe.text_weight * loss
    if structures and recipe.structure_weight:
        prompts = names.batch([crop.names[i] for i in structures], text_only=hide_id)
        decoded = net.decode(encoding, prompts)
        loss = _prompt_loss(decoded, crop.masks[structures], recipe, balance=recipe.organ_balance)
        parts["structures"] = recipe.structure_weight * loss
    if tumors and recipe.tumor_weight:
        prompts = names.batch([crop.names[i] for i in tumors], text_only=hide_id)
        visual = None
        if net.denoiser is not None and noise is not None:
            parts["denoise"], visual = _denoise(net, encoding, prompts, crop.masks[tumors], recipe, noise, generator)
        decoded = net.decode(encoding, prompts, visual_prompts=visual)
        loss = _prompt_loss(decoded, crop.masks[tumors], recipe, balance=recipe.tumor_balance)
        parts["tumor"] = recipe.tumor_weight * loss
        queries.append(decoded.queries[0])
        texts.append(prompts.text)
    if alignment is not None and recipe.alignment_weight:
        parts["alignment"] = recipe.alignment_weight * alignment(torch.cat(queries), torch.cat(texts))
    if not parts:  # nothing that this network can be asked is annotated
        return encoding.embedding.sum() * 0.0, {}
    total = torch.stack([part.float() for part in parts.values()]).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _organ_losses(
    net: DSMNet,
    encoding: Encoding,
    logits: Tensor,
    masks: Tensor,
    lesions: Tensor,
    found: list[str],
    names: LabelSet,
    recipe: Recipe,
) -> dict[str, Tensor]:
    """A lesion belongs to its organ's mask, but no organ query may claim it: that is what makes it an anomaly."""
    annotated = torch.tensor([names.organs[name] for name in found])
    zero = logits.new_zeros(())
    levels, anomalies = [], []
    healthy = torch.cat([masks & ~lesions, torch.stack([masks.any(dim=0) | lesions, lesions])])
    coarse: dict[torch.Size, Tensor] = {}  # the layers of a level share their grid
    for index, affinity in enumerate(encoding.organ_affinities):
        size = affinity.shape[2:]
        layer = cast("KMaxSSMLayer", net.kmax_layers[index])
        if size not in coarse:
            coarse[size] = level_masks(healthy, size)
        *_, inside, lesion = coarse[size]
        levels.append(assignment_loss(affinity[0].float(), layer.void, coarse[size][:-2], annotated))
        anomalies.append(anomaly_loss(affinity[0, annotated].float(), layer.void, inside, lesion))
    presence = net.presence_head(encoding.organ_queries)[0, annotated].float()
    is_present = masks.flatten(1).any(dim=1).to(presence.dtype)
    assignment = assignment_loss(logits, zero, masks, annotated, balance=recipe.organ_balance)
    parts = {
        "mask": dice_loss(logits[annotated], masks) + assignment,
        "levels": recipe.level_weight * torch.stack(levels).mean(),
        "presence": recipe.presence_weight * F.binary_cross_entropy_with_logits(presence, is_present),
    }
    if recipe.anomaly_weight:
        parts["anomaly"] = recipe.anomaly_weight * torch.stack(anomalies).mean()
    return parts


def _prompt_loss(decoded: Decoded, masks: Tensor, recipe: Recipe, *, balance: float) -> Tensor:
    is_present = masks.flatten(1).any(dim=1).float()
    presence = F.binary_cross_entropy_with_logits(decoded.presence[0].float(), is_present)
    return mask_loss(decoded.logits[0].float(), masks, balance=balance) + recipe.presence_weight * presence


def _denoise(
    net: DSMNet,
    encoding: Encoding,
    prompts: PromptBatch,
    masks: Tensor,
    recipe: Recipe,
    noise: MaskNoise,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """Loss of the denoiser, and its prediction as a visual prompt; sometimes none, so that the fast mode works, too."""
    target = noise.target(masks, encoding.anomalies[1].shape[1:])
    noisy, time = noise.add(target, generator)
    clean = net.predict_clean_masks(encoding, prompts, noisy, time)[:, 0].float()
    loss = F.binary_cross_entropy_with_logits(clean, target) + dice_loss(clean, target > 0.5)
    if torch.rand((), generator=generator) < recipe.visual_prompt_dropout:
        return recipe.denoise_weight * loss, None
    return recipe.denoise_weight * loss, clean.detach().sigmoid()[None]
