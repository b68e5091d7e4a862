"""Masks that clicks ask for: a ball around each click inside, less a ball around each one outside.

Simpler than the network, which adds to the mask of an organ's name: only clicks outside alone start from it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dsm.core.click import Click
from dsm.errors import InputError

INSIDE_MM, OUTSIDE_MM = 3.5, 2.5


def clicked_mask(
    affine: np.ndarray, shape: tuple[int, ...], clicks: Sequence[Click], named: np.ndarray | None = None
) -> np.ndarray:
    """Return a mask, uint8 `[I, J, K]`; as strict as the network: no click may lie outside of the volume.

    Args:
        affine: `(4, 4)` to the RAS that the clicks are in.
        shape: Of the volume.
        clicks: One or more are inside, unless there is a mask to correct.
        named: Mask of the name, for an organ that is found.
    """
    are_outside = not any(click.inside for click in clicks)
    if are_outside and named is None:
        raise InputError("No click is inside.", code="click")
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    ras_mm = voxels @ affine[:3, :3].T + affine[:3, 3]
    mask = named != 0 if are_outside else np.zeros(shape, bool)
    for click in sorted(clicks, key=lambda click: not click.inside):
        index = np.linalg.inv(affine) @ [*click.ras_mm, 1.0]
        if np.any(index[:3] < -0.5) or np.any(index[:3] >= np.array(shape) - 0.5):
            raise InputError(f"The click {click.ras_mm} lies outside of the volume.", code="click.outside")
        distance_mm = np.linalg.norm(ras_mm - click.ras_mm, axis=-1)
        mask = mask | (distance_mm <= INSIDE_MM) if click.inside else mask & (distance_mm > OUTSIDE_MM)
    return mask.astype(np.uint8)


def volume_mask(volume: Any, clicks: Sequence[Click], named: np.ndarray | None = None) -> np.ndarray:
    """Return the mask of clicks on a `dsm.core.volume.Volume`."""
    return clicked_mask(volume.affine, volume.shape, clicks, named)
