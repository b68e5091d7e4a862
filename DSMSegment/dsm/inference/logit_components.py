"""Connected components of thresholded logits, and their properties."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dsm.inference.components import label_components

REJECTED_LOGIT = -20.0  # logit


def logit_of(probability: float) -> float:
    """Return the logit of a probability between 0 and 1: comparing logits saves a sigmoid per voxel."""
    return math.log(probability / (1 - probability))


def components_above(logits: Tensor, threshold: float) -> tuple[Tensor, np.ndarray, int]:
    """Label the connected components of a mask.

    Args:
        logits: `(i, j, k)`, float32, on the CPU.
        threshold: Probability above which a voxel is inside, between 0 and 1.

    Returns:
        Bool `(i, j, k)` of what is inside; the number of the component of each voxel, 0 outside; number of components.
    """
    inside = logits > logit_of(threshold)
    parts, count = label_components(inside.numpy())
    return inside, parts, count


def component_means(values: Tensor, inside: Tensor, parts: np.ndarray, count: int) -> np.ndarray:
    """Average over each component.

    Args:
        values: Of the voxels inside, in their order.
        inside: From `components_above`.
        parts: From `components_above`.
        count: From `components_above`.

    Returns:
        `(count + 1,)`, by the number of the part; 0 for the outside.
    """
    numbers = parts[inside.numpy()]
    sizes = np.bincount(numbers, minlength=count + 1).clip(1)
    return np.asarray(np.bincount(numbers, weights=values.numpy(), minlength=count + 1) / sizes)


def remove_components(logits: Tensor, parts: np.ndarray, *, kept: np.ndarray) -> Tensor:
    """Lower the logits of components far below any threshold.

    Args:
        logits: `(i, j, k)`; not changed.
        parts: From `components_above`.
        kept: Bool `(count + 1,)`: parts that stay as they are, by number.
    """
    if kept[1:].all():
        return logits
    inside = np.flatnonzero(parts != 0)  # a small share of the volume
    dropped = inside[~kept[parts.reshape(-1)[inside]]]
    logits = logits.clone(memory_format=torch.contiguous_format)
    logits.view(-1)[torch.from_numpy(dropped)] = REJECTED_LOGIT
    return logits


def keep_sure_parts(logits: Tensor, *, threshold: float, confidence: float) -> Tensor:
    """Remove the connected components whose mean probability is below `confidence`.

    A lesion of which the network is sure has a rim of which it is not; a false alarm is all rim. So a low threshold
    finds the outline, and this finds out what is worth one.

    Args:
        logits: `(i, j, k)`, float32, on the CPU; not changed.
        threshold: Probability above which a voxel is inside.
        confidence: Least mean probability of a part.
    """
    inside, parts, count = components_above(logits, threshold)
    if not count:
        return logits
    return remove_components(
        logits, parts, kept=component_means(logits[inside].sigmoid(), inside, parts, count) >= confidence
    )
