"""Losses under partial labels: each uses only the annotated names of the case."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional as F

_dice = DiceLoss(sigmoid=True, reduction="none")


# Largest weight of a foreground voxel: below about 0.1 % of the crop, more would only add noise.
_MAX_FOREGROUND_WEIGHT = 30.0


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Soft Dice over the masks that are not empty (an empty one would cost 1 whatever the prediction); else 0.

    Args:
        logits: `(prompts, i, j, k)`.
        masks: Same shape, bool.
    """
    present = masks.flatten(1).any(dim=1)
    if not present.any():
        return logits.new_zeros(())
    return _dice(logits[present][None], masks[present][None].to(logits.dtype)).mean()


def mask_loss(logits: Tensor, masks: Tensor, *, balance: float = 0.5) -> Tensor:
    """Binary cross-entropy over all, plus Dice over the masks that are not empty.

    Foreground voxels weigh (background / foreground)^balance, so that a gland of 100 voxels is not learned last.

    Args:
        logits: `(prompts, i, j, k)`.
        masks: Same shape, bool: annotated prompts only.
        balance: 0: all voxels weigh the same, so that half sure is half sure; more learns small structures sooner, and
            makes all of them too large.

    Returns:
        One number. An empty mask has no Dice (it would be 1 whatever the prediction); the cross-entropy sees it.
    """
    target = masks.to(logits.dtype)
    share = target.flatten(1).mean(dim=1).clamp_min(1e-6)
    weight = ((1 - share) / share).pow(balance).clamp(1, _MAX_FOREGROUND_WEIGHT)[:, None, None, None]
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight) + dice_loss(logits, masks)


def assignment_loss(logits: Tensor, void: Tensor, masks: Tensor, annotated: Tensor, *, balance: float = 0.5) -> Tensor:
    """Cross-entropy of voxels over organs and void: they compete, as in the k-means assignment.

    A voxel that belongs to an annotated organ belongs to none of the others, annotated or not. A voxel outside all
    annotated organs may belong to any that is not annotated, so those rows are left out there.

    Args:
        logits: Of all organs `(organs, i, j, k)`.
        void: Logit of belonging to none, one number.
        masks: Fraction of each voxel in each annotated organ `(annotated organs, i, j, k)` in [0, 1]; or bool, which is
            faster where the organs do not overlap.
        annotated: Their rows in `logits`, int64.
        balance: A voxel weighs (voxels of its organ, or of void)^-balance; see `mask_loss`.

    Returns:
        One number.
    """
    if masks.dtype == torch.bool:
        if not (masks.sum(dim=0, dtype=torch.uint8) > 1).any():
            return _hard_assignment_loss(logits, void, masks, annotated, balance)
        masks = masks.to(logits.dtype)
    target = torch.zeros_like(logits).index_copy(0, annotated, masks.to(logits.dtype))
    labelled = target.sum(0)
    target = torch.cat([target, (1 - labelled).clamp_min(0)[None]])
    unknown = torch.ones(len(logits), dtype=torch.bool, device=logits.device).index_fill(0, annotated, value=False)
    hidden = unknown[:, None, None, None] & (labelled < 0.5)
    rows = torch.cat([logits.masked_fill(hidden, -1e4), void.expand_as(logits[:1])])
    cross_entropy = -(target * rows.log_softmax(dim=0)).flatten(1).sum(dim=1)
    voxels = target.flatten(1).sum(dim=1)
    weight = voxels.clamp_min(1).pow(-balance)
    return (weight * cross_entropy).sum() / (weight * voxels).sum()


def _hard_assignment_loss(logits: Tensor, void: Tensor, masks: Tensor, annotated: Tensor, balance: float) -> Tensor:
    """`assignment_loss` where each voxel belongs to one organ or none: its row in place of all fractions."""
    labelled = masks.any(dim=0)
    row = annotated[masks.to(torch.uint8).argmax(dim=0)].where(labelled, len(logits))
    unknown = torch.ones(len(logits), dtype=torch.bool, device=logits.device).index_fill(0, annotated, value=False)
    hidden = unknown[:, None, None, None] & ~labelled
    rows = torch.cat([logits.masked_fill(hidden, -1e4), void.expand_as(logits[:1])])
    voxels = torch.bincount(row.flatten(), minlength=len(rows)).to(rows.dtype)
    weight = voxels.clamp_min(1).pow(-balance)
    total = F.cross_entropy(rows[None], row[None], weight=weight, reduction="sum")
    return total / (weight * voxels).sum()


def group_loss(logits: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
    """Loss of the probability that a voxel belongs to any organ of a group, where it is not known to which.

    Args:
        logits: Of all organs `(organs, i, j, k)`; that of belonging to none is 0.
        mask: Voxels of the group `(i, j, k)`, bool.
        rows: Rows of the group in `logits`, int64.

    Returns:
        Cross-entropy plus, where the mask is not empty, Dice.
    """
    others = torch.ones(len(logits), dtype=torch.bool, device=logits.device).index_fill(0, rows, value=False)
    rest = torch.cat([logits[others], logits.new_zeros(1, *logits.shape[1:])])
    log_odds = logits[rows].logsumexp(dim=0) - rest.logsumexp(dim=0)
    return mask_loss(log_odds[None], mask[None], balance=0.0)


def level_masks(masks: Tensor, size: torch.Size) -> Tensor:
    """Fractions of each voxel of a coarser grid: masks `(names, i, j, k)` → `(names, *size)` in [0, 1]."""
    stride = masks.shape[1] // size[0]
    return F.avg_pool3d(masks[None].float(), stride)[0]


def anomaly_loss(affinity: Tensor, void: Tensor, organs: Tensor, lesions: Tensor) -> Tensor:
    """Inside annotated organs, the void must beat every organ query where a lesion is, and nowhere else.

    Cross-entropy of `σ(void - max_n M_n)` against the lesions; lesion voxels weigh as in `mask_loss`.

    Args:
        affinity: Mask logits of the organ queries at one level `(organs, i, j, k)`.
        void: Logit of belonging to none, one number.
        organs: Fraction of each voxel in any annotated organ or lesion `(i, j, k)` in [0, 1].
        lesions: Fraction of each voxel in lesions `(i, j, k)` in [0, 1].

    Returns:
        One number; 0 where no annotated organ is in sight.

    References:
        `a = -max_n M_n`: MaxQuery (arXiv 2304.00212), ZePT, DSM (arXiv 2506.12747).
    """
    if not organs.any():
        return affinity.new_zeros(())
    share = ((lesions * organs).sum() / organs.sum()).clamp_min(1e-4)
    weight = ((1 - share) / share).sqrt().clamp(1, _MAX_FOREGROUND_WEIGHT)
    logits = void - affinity.amax(dim=0)
    return F.binary_cross_entropy_with_logits(logits, lesions, weight=organs, pos_weight=weight, reduction="sum") / (
        organs.sum()
    )
