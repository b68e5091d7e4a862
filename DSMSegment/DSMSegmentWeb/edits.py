"""Manual corrections of the selected segment: strokes in a view, and filters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from trame_slicer.segmentation import BrushDiameterMode, ScissorsEffectFillMode, SegmentationEffectNoTool

from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.mrml import countVoxels, maskTime, orientedImageFromSegment, setSegmentMask
from DSMSegmentLib.scene.tag_writer import tagEdited
from DSMSegmentWeb.segment_filters import FILTERS, Filter, clipped, with_margin
from DSMSegmentWeb.strokes import Erase, Paint, Scissors

_BRUSHES = {"paint": Paint, "erase": Erase}
_SCISSORS = {"cut": ScissorsEffectFillMode.ERASE_INSIDE, "keep": ScissorsEffectFillMode.ERASE_OUTSIDE}
# Largest distance to grow or shrink by.
MOST_MM = 50.0
# Filters that change something as a rule, and what to do when they did not.
_UNCHANGED = {
    "grow": "The distance is less than that of two voxels; choose a longer one.",
    "shrink": "The distance is less than that of two voxels; choose a longer one.",
    "fill": "No slices were left out between painted ones. Paint the first, the last and some between them.",
}


class Edits:
    """Correction tools of the page.

    Args:
        editor: Trame-slicer's segment editor.
        on_edit: Called after each edit with what takes it back; that returns whether there was something to take back.
    """

    def __init__(self, editor: Any, on_edit: Callable[[Callable[[], bool]], None]) -> None:
        self._editor = editor
        self._on_edit = on_edit

    def use(self, tool: str, segment_id: str, brush_mm: float, intensities: tuple[float, float] | None = None) -> None:
        """Activate a tool.

        Args:
            tool: `"paint"`, `"erase"`, `"cut"` or `"keep"` (scissors), or `""` for none.
            segment_id: Of the segment that it changes.
            brush_mm: Diameter of the brush.
            intensities: Smallest and largest intensity of voxels that the brush changes; None for any.
        """
        mask = self._editor.editor_node
        mask.SetSourceVolumeIntensityMask(tool in _BRUSHES and intensities is not None)
        if intensities is not None:
            mask.SetSourceVolumeIntensityMaskRange(*sorted(intensities))
        if not segment_id or tool not in (*_BRUSHES, *_SCISSORS):
            self._editor.set_active_effect_type(SegmentationEffectNoTool)
            return
        self._editor.set_active_segment_id(segment_id)
        effect = self._editor.set_active_effect_type(_BRUSHES.get(tool, Scissors))
        effect.stroke = self._stroke
        if tool in _SCISSORS:
            effect.set_fill_mode(_SCISSORS[tool])
            return
        effect.set_use_sphere_brush(True)
        effect.set_brush_diameter(brush_mm, BrushDiameterMode.Absolute)

    async def apply(self, name: str, mm: float, segmentation_node: Any, segment_id: str, extent: Sequence[int]) -> None:
        """Apply a filter of `segment_filters.py` to a segment; the page stays in use meanwhile.

        Args:
            name: Of the filter; `"grow"` or `"shrink"` by a distance.
            mm: That distance, more than 0 and at most 50.
            segmentation_node: Of the segment.
            segment_id: Of the segment.
            extent: Of the grid of the scan, which the mask does not leave.

        Raises:
            InputError: If there is no such filter or distance, the segment is empty or would become so, there is
                nothing to change, or somebody changed the segment meanwhile.
        """
        chosen = _filter_of(name, mm)
        if chosen is None or segmentation_node.GetSegmentation().GetSegment(segment_id) is None:
            raise InputError("There is nothing to correct.", code="input.edit", hint="Select a segment in the list.")
        time = maskTime(segmentation_node, segment_id)
        image = orientedImageFromSegment(segmentation_node, segment_id)
        count = countVoxels(image)
        filtered = await asyncio.to_thread(lambda: clipped(chosen(image), extent)) if count else image
        if not countVoxels(filtered):
            message = "Nothing of the segment would be left."
            raise InputError(message, code="input.edit", hint="It is empty or too thin; paint it first.")
        if name in _UNCHANGED and countVoxels(filtered) == count:
            raise InputError("Nothing is changed.", code="input.edit", hint=_UNCHANGED[name])
        segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
        if segmentation_node.GetScene() is None or segment is None or maskTime(segmentation_node, segment_id) != time:
            message = "The segment was changed meanwhile, so it was not corrected."
            raise InputError(message, code="input.edit", hint="Press the button again.")
        take_back = journaled(segmentation_node, segment_id)
        setSegmentMask(segmentation_node, segment_id, filtered)
        _note_by_hand(segmentation_node, segment_id)
        self._on_edit(take_back)

    @contextmanager
    def _stroke(self) -> Iterator[None]:
        """Record a stroke of the active segment."""
        node, segment_id = self._editor.active_segmentation_node, self._editor.active_segment_id
        if node is None or node.GetSegmentation().GetSegment(segment_id) is None:
            yield  # changes nothing
            return
        take_back = journaled(node, segment_id)
        yield
        _note_by_hand(node, segment_id)
        self._on_edit(take_back)


def _filter_of(name: str, mm: float) -> Filter | None:
    """Return a filter of a mask; None where there is none of that name.

    Raises:
        InputError: If the distance is out of range.
    """
    distance = {"grow": mm, "shrink": -mm}.get(name)
    if distance is None:
        return FILTERS.get(name)
    if not 0 < mm <= MOST_MM:
        hint = f"Choose more than 0 and at most {MOST_MM:g} mm."
        raise InputError(f"A segment does not {name} by {mm:g} mm.", code="input.edit", hint=hint)
    return partial(with_margin, mm=distance)


def journaled(segmentation_node: Any, segment_id: str) -> Callable[[], bool]:
    """Record a segment before a change; returns its undo function."""
    journal = RunJournal(segmentation_node)
    journal.noteChanging(segment_id)

    def take_back() -> bool:
        journal.revert()
        return True

    return take_back


def _note_by_hand(segmentation_node: Any, segment_id: str) -> None:
    """Tag a segment as manually edited, for DICOM SEG too."""
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if segment is not None and segment.HasTag(ALGORITHM_TYPE_TAG):
        tagEdited(segmentation_node, segment_id)
