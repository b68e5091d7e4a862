"""Effect of trame-slicer's editor that takes clicks and drags in the slice views as points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import slicer
from trame_slicer.segmentation import SegmentationEffect, SegmentationEffectPipeline
from vtkmodules.vtkCommonCore import vtkCommand

Point = tuple[float, float, float]
# A drag is that many points at most, and not more than one every few millimetres.
_SPACING_MM = 6.0
_MAX_POINTS = 12
_CONTROL = 2  # vtkEvent.ControlModifier
# Higher than every distance in pixels that markups and other pipelines answer with.
_AT_MOUSE = 0.0


class ClickEffect(SegmentationEffect):  # type: ignore[misc]
    """Effect that reports the points of a click or a drag; it changes no voxel itself.

    Attributes:
        outside: Whether clicks without a modifier say what does not belong to the object.
        on_points: Called with the points of a click or a drag, in world RAS (mm), and whether they are inside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outside = False
        self.on_points: Callable[[list[Point], bool], None] = lambda _points, _inside: None

    def _create_pipeline(self, view_node: Any, _parameter: Any) -> SegmentationEffectPipeline | None:
        return _ClickPipeline() if isinstance(view_node, slicer.vtkMRMLSliceNode) else None


class _ClickPipeline(SegmentationEffectPipeline):  # type: ignore[misc]
    """Mouse in one slice view: collects the way from the press to the release of the left button."""

    def __init__(self) -> None:
        super().__init__()
        self._way: list[Point] = []
        self._inside = True

    def CanProcessInteractionEvent(self, event: Any) -> tuple[bool, float]:  # noqa: N802
        kind = event.GetType()
        is_mine = kind == vtkCommand.LeftButtonPressEvent or (
            bool(self._way) and kind in (vtkCommand.MouseMoveEvent, vtkCommand.LeftButtonReleaseEvent)
        )
        return bool(self.IsActive() and is_mine), _AT_MOUSE

    def ProcessInteractionEvent(self, event: Any) -> bool:  # noqa: N802
        x, y, z = event.GetWorldPosition()
        if event.GetType() == vtkCommand.LeftButtonPressEvent:
            self._inside = not (self._effect.outside or event.GetModifiers() & _CONTROL)
            self._way = []
        self._way.append((x, y, z))
        if event.GetType() == vtkCommand.LeftButtonReleaseEvent:
            way, self._way = self._way, []
            self._effect.on_points(drag_points(way), self._inside)
        return True

    def GetWidgetState(self) -> int:  # noqa: N802
        dragging = slicer.vtkMRMLAbstractWidget.WidgetStateUser
        return int(dragging if self._way else super().GetWidgetState())

    def LoseFocus(self, event: Any) -> None:  # noqa: N802
        super().LoseFocus(event)
        self._way = []


def drag_points(way: Sequence[Point]) -> list[Point]:
    """Return the points that a drag stands for: its start, and others along it, some millimetres apart.

    Args:
        way: Positions of the mouse in mm, at least one.
    """
    kept = [way[0]]
    for point in way:
        if math.dist(point, kept[-1]) >= _SPACING_MM:
            kept.append(point)
    return kept[:: math.ceil(len(kept) / _MAX_POINTS)]
