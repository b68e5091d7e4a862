"""Brush and scissors of trame-slicer's editor that say when a stroke begins and ends.

Its own undo keeps two copies of all segments for each stroke, and puts all of them back: what was done to the others
since, and names, colours and tags, would be lost with the stroke.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from trame_slicer.segmentation import SegmentationEffectErase, SegmentationEffectPaint, SegmentationEffectScissors


class _Recorded:
    """Effect whose strokes are recorded.

    Attributes:
        stroke: Returns the context in which a stroke changes the segment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stroke: Callable[[], AbstractContextManager[None]] = nullcontext


class _Brush(_Recorded):
    def paint_glyph_at_world_coordinates(self, polydata: Any, paint_coordinates_world: Any) -> None:
        with self.stroke():
            super().paint_glyph_at_world_coordinates(polydata, paint_coordinates_world)  # type: ignore[misc]


class Paint(_Brush, SegmentationEffectPaint):  # type: ignore[misc]
    """Brush that adds voxels."""


class Erase(_Brush, SegmentationEffectErase):  # type: ignore[misc]
    """Brush that removes voxels."""


class Scissors(_Recorded, SegmentationEffectScissors):  # type: ignore[misc]
    """Scissors through all slices below an outline."""

    def apply_points_display_coordinates(self, points_display: Any, view: Any) -> None:
        """Cut along an outline in a view."""
        with self.stroke():
            super().apply_points_display_coordinates(points_display, view)
