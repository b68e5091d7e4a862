"""Rims of dropped components: sub-threshold voxels that a lower threshold would show as a shell."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from dsm.core.boxes import bounding_box
from dsm.inference.components import label_components
from dsm.inference.logit_components import REJECTED_LOGIT, logit_of


def without_dropped_rims(whole: Tensor, kept: Tensor, *, threshold: float, faintest: float) -> Tensor:
    """Lower the logits around dropped components as far as those of the components themselves.

    A voxel below the threshold belongs to the part above it that is nearest. It goes where that part was dropped, and
    something fainter connects the two.

    Args:
        whole: `(i, j, k)`, float32, on the CPU: logits before parts were dropped.
        kept: Logits after that; not changed.
        threshold: Probability above which a voxel is inside.
        faintest: Probability below which nobody looks.

    Returns:
        `kept`, where nothing was dropped.
    """
    dropped = (kept != whole).numpy()
    if not dropped.any():
        return kept
    faint, count = label_components((whole > logit_of(faintest)).numpy())
    touched = np.zeros(count + 1, dtype=bool)
    touched[faint[dropped]] = True
    touched[0] = False  # the outside
    around = touched[faint]
    box = bounding_box(around)
    if box is None:
        return kept
    inside = (whole[box.slices] > logit_of(threshold)).numpy()
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    rim = np.zeros_like(dropped)
    rim[box.slices] = around[box.slices] & ~inside & dropped[box.slices][tuple(nearest)]
    return kept.masked_fill(torch.from_numpy(rim), REJECTED_LOGIT)
