"""A tumor of an organ lies in or at that organ: parts of its mask elsewhere are dropped."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.inference.components import keep_large_parts, label_parts

# Features (3 mm) that a lesion may be away from its organ's mask, which often ends where the lesion begins.
_MARGIN = 2
_NOWHERE = -20.0  # logit


def host_region(hosts: Tensor) -> np.ndarray:
    """Where the hosts are, with a margin of two features.

    Args:
        hosts: Logits of the host organs `(hosts, i, j, k)` on the CPU.

    Returns:
        Bool `(i, j, k)`: the largest part of each host; empty if none is in the image.
    """
    found = torch.zeros(hosts.shape[1:], dtype=torch.bool)
    for logits in hosts:
        found |= torch.from_numpy(keep_large_parts((logits > 0).numpy(), fraction=1.0))
    size = 2 * _MARGIN + 1
    return np.asarray(F.max_pool3d(found[None, None].float(), size, stride=1, padding=_MARGIN)[0, 0] > 0)


def keep_parts_at(region: np.ndarray, logits: Tensor, *, threshold: float) -> Tensor:
    """Drop the connected parts of a mask that touch no voxel of a region; whole parts, so that none is cut.

    Args:
        region: Bool `(i, j, k)`.
        logits: Same shape, on the CPU; not changed.
        threshold: Probability above which a voxel is inside.
    """
    inside = (logits > torch.logit(torch.tensor(threshold, dtype=torch.float64)).item()).numpy()
    parts, count = label_parts(inside)
    if not count or not region.any():
        return logits
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(parts[region])] = True
    touching[0] = True
    return logits.masked_fill(torch.from_numpy(~touching[parts]), _NOWHERE)
