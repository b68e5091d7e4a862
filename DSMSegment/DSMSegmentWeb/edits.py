"""Paint and erase by hand, on the segment that is selected in the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame_slicer.segmentation import (
    BrushDiameterMode,
    SegmentationEffectErase,
    SegmentationEffectNoTool,
    SegmentationEffectPaint,
)
from undo_stack import UndoStack

_EFFECTS = {"": SegmentationEffectNoTool, "paint": SegmentationEffectPaint, "erase": SegmentationEffectErase}
# Each step keeps the mask that it changed.
_MAX_STROKES = 10


class Edits:
    """The tools of trame-slicer's segment editor that the page offers.

    Args:
        editor: The segment editor.
        on_stroke: Called after each stroke.
    """

    def __init__(self, editor: Any, on_stroke: Callable[[], None]) -> None:
        self._editor = editor
        self._on_stroke = on_stroke
        self._strokes = UndoStack(undo_limit=_MAX_STROKES)
        self._count = 0
        self._strokes.index_changed.connect(self._note)
        editor.set_undo_stack(self._strokes)

    def use(self, tool: str, segment_id: str, brush_mm: float) -> None:
        """Take a tool in hand: `"paint"`, `"erase"`, or `""` for none."""
        if tool and segment_id:
            self._editor.set_active_segment_id(segment_id)
            effect = self._editor.set_active_effect_type(_EFFECTS[tool])
            effect.set_use_sphere_brush(True)
            effect.set_brush_diameter(brush_mm, BrushDiameterMode.Absolute)
        else:
            self._editor.deactivate_effect()

    def undo(self) -> bool:
        """Take back the last stroke; returns whether there was one."""
        if not self._strokes.can_undo():
            return False
        self._strokes.undo()
        return True

    def forget(self) -> None:
        """Forget all strokes."""
        self._strokes.clear()

    def _note(self, index: int) -> None:
        grown = index > self._count
        # A full stack forgets its oldest stroke without saying so.
        self._count = min(index, _MAX_STROKES)
        if grown:
            self._on_stroke()
