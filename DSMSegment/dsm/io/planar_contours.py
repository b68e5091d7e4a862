"""Outlines of the islands of a planar mask, holes included; needs the package contourpy."""

from __future__ import annotations

from typing import Any

import numpy as np


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return a closed polygon for each island of a mask.

    The polygons run half-way between pixels inside and outside, never through the middle of a pixel, with corners cut:
    whoever fills them by the middles of the pixels gets the mask back, and their area is half a pixel below that of
    the mask for each outline, and above it for each hole. Pixels that touch by a corner alone are separate islands.

    A hole is part of the polygon around it, joined to it by a channel of no width ("keyhole"), which runs half-way
    between two rows of pixels inside the mask. An island in a hole is a polygon of its own. Polygons overlap nowhere,
    so readers that unite them and readers that exclude one from the other see the same.

    Args:
        mask: `[I, J]`, non-zero inside; it ends where the array ends.

    Returns:
        Polygons `(n, 2)` of `i` and `j` in pixels; the first point is not repeated.
    """
    from contourpy import FillType, contour_generator  # noqa: PLC0415

    padded = np.pad((mask != 0).T.astype(np.float64), 1)
    filled: Any = contour_generator(z=padded, fill_type=FillType.OuterOffset).filled(0.5, 1.5)
    found = []
    for points, starts in zip(*filled, strict=True):  # an outer ring and its holes, and where each begins
        rings = [_corners(ring[:-1] - 1) for ring in np.split(points, starts[1:-1])]
        found.append(_with_keyholes(rings[0], rings[1:]))
    return found


def _corners(ring: np.ndarray) -> np.ndarray:
    """Leave out the points of straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _with_keyholes(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join the holes to the ring around them.

    From its top left corner, which lies between two rows, each hole is joined to what is next on the left. That is the
    outer ring or a hole whose corner comes before, by row, then by column: it is joined already.
    """
    turned = [np.roll(hole, -np.lexsort((hole[:, 0], hole[:, 1]))[0], axis=0) for hole in holes]
    ring = outer
    for hole in sorted(turned, key=lambda each: (each[0, 1], each[0, 0])):
        edge, point = _next_on_the_left(ring, hole[0])
        ring = np.concatenate([ring[: edge + 1], [point], hole, hole[:1], [point], ring[edge + 1 :]])
    return ring


def _next_on_the_left(ring: np.ndarray, start: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the first point of a ring to the left of another in its row, and the number of the edge it is on."""
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
    crossing = (low <= start[1]) & (start[1] <= high)
    rise = np.where(high == low, 1.0, ends[:, 1] - ring[:, 1])
    at = ring[:, 0] + (start[1] - ring[:, 1]) / rise * (ends[:, 0] - ring[:, 0])
    # Of an edge along the row, the end on the right is nearer; where two edges meet, either will do.
    at = np.where(high == low, np.maximum(ring[:, 0], ends[:, 0]), at)
    at[~crossing | (at >= start[0])] = -np.inf
    edge = int(np.argmax(at))
    return edge, np.array([at[edge], start[1]])
