"""Image-based tumor evidence in each of several host organs, merged into one map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Box, bounding_box
from dsm.core.volume import Volume
from dsm.inference.components import keep_large_components
from dsm.inference.logit_components import REJECTED_LOGIT
from dsm.inference.preprocess import resample_features
from dsm.inference.working_grid import WorkingGrid


def map_host_organs(
    hosts: Tensor,
    volume: Volume,
    grid: WorkingGrid,
    of_one: Callable[[np.ndarray, np.ndarray, Box], np.ndarray | None],
    *,
    margin: int,
) -> Tensor | None:
    """Apply a function to the largest component of each host, in its box, and merge by maximum.

    Args:
        hosts: Logits of host organs `(hosts, i, j, k)` on the CPU.
        volume: The image.
        grid: How the logits lie on it.
        of_one: From the mask of a host, the intensities, and where both lie, to float32 logits of the same shape; None
            where it has no answer.
        margin: Features around the host that belong to its box.

    Returns:
        `(i, j, k)`, float32; None where no host has an answer.
    """
    stride = grid.padded_shape[0] // hosts.shape[1]
    result = None
    for logits in hosts:
        mask = keep_large_components((logits > 0).numpy(), fraction=1.0)
        box = bounding_box(mask)
        if box is None:
            continue
        box = box.grow(margin).clip(mask.shape)
        intensity = resample_features(grid, volume.array, box, stride=stride).numpy()
        own = of_one(mask[box.slices], intensity, box)
        if own is not None:
            result = torch.full(logits.shape, REJECTED_LOGIT) if result is None else result
            result[box.slices] = torch.maximum(result[box.slices], torch.from_numpy(own))
    return result
