"""Actions on one result: rename, recolor, duplicate, delete, show only this, review. Each change has an undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer

from dsm.core.display_colors import RGB
from dsm.core.segment_tags import COMPLETED, STATUS_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.segment_display import setOwnColor
from DSMSegmentLib.scene.segment_state import NO_COLOR, SegmentState, restoreMetadata
from DSMSegmentLib.scene.segment_tags import tagOf
from DSMSegmentLib.scene.tag_writer import tagReviewed

Undo = Callable[[], bool]


def rename(node: Any, segment_id: str, name: str) -> Undo:
    """Rename a segment; its code and the prompt that it came from stay.

    Raises:
        InputError: If the name is empty, or another segment has it.
    """
    segmentation = node.GetSegmentation()
    segment, new = segmentation.GetSegment(segment_id), name.strip()
    if not new or new.casefold() in _names(segmentation, but=segment_id):
        message = f"{new!r} is taken." if new else "The name is empty."
        raise InputError(message, code="input.edit", hint="Choose another name.")
    take_back = described_before(node, segment_id)
    segment.SetName(new)
    return take_back


def recolor(node: Any, segment_id: str, color: RGB) -> Undo:
    """Give a segment a colour that the user chose."""
    take_back = described_before(node, segment_id)
    setOwnColor(node, segment_id, color)
    return take_back


def duplicate(node: Any, segment_id: str) -> Undo:
    """Add a copy of a segment, with its code and tags."""
    segmentation = node.GetSegmentation()
    copy_id = str(segmentation.GenerateUniqueSegmentID(f"{segment_id}_copy"))
    name = free_name(segmentation, f"{segmentation.GetSegment(segment_id).GetName()} copy")
    copy = SegmentState.of(node, segment_id)
    copy.metadata.SetName(name)
    replace(copy, place=segmentation.GetNumberOfSegments(), shownColor=NO_COLOR, visible=True).restore(node, copy_id)

    def undo() -> bool:
        is_there = node.GetScene() is not None and segmentation.GetSegment(copy_id) is not None
        if is_there:
            segmentation.RemoveSegment(copy_id)
        return is_there

    return undo


def delete(node: Any, segment_id: str) -> Undo:
    """Delete a segment; the undo function restores it in its place, with everything but its clicks."""
    segmentation, before = node.GetSegmentation(), SegmentState.of(node, segment_id)
    segmentation.RemoveSegment(segment_id)

    def undo() -> bool:
        if node.GetScene() is None or segmentation.GetSegment(segment_id) is not None:
            return False
        before.restore(node, segment_id)
        return True

    return undo


def show_only(node: Any, segment_id: str) -> None:
    """Show a segment and hide all others; if that is so already, show all."""
    display, ids = node.GetDisplayNode(), node.GetSegmentation().GetSegmentIDs()
    is_alone = [id_ for id_ in ids if display.GetSegmentVisibility(id_)] == [segment_id]
    for id_ in ids:
        display.SetSegmentVisibility(id_, is_alone or id_ == segment_id)


def toggle_reviewed(node: Any, segment_id: str) -> Undo:
    """Set the status of Slicer's segment tables to completed, or back to in progress."""
    take_back, segment = described_before(node, segment_id), node.GetSegmentation().GetSegment(segment_id)
    tagReviewed(node, segment_id, reviewed=tagOf(segment, STATUS_TAG) != COMPLETED)
    return take_back


def free_name(segmentation: Any, name: str) -> str:
    """Return a name that no segment has: this one, or with a number."""
    names, numbered, number = _names(segmentation), name, 1
    while numbered.casefold() in names:
        number += 1
        numbered = f"{name} {number}"
    return numbered


def _names(segmentation: Any, *, but: str = "") -> set[str]:
    """Return the names of all segments, or of all but one, for a comparison that ignores case."""
    return {segmentation.GetSegment(id_).GetName().casefold() for id_ in segmentation.GetSegmentIDs() if id_ != but}


def described_before(node: Any, segment_id: str) -> Undo:
    """Return the undo function of a change of name, colours or tags, which leaves the mask alone."""
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    before, shown = slicer.vtkSegment(), display.GetSegmentOverrideColor(segment_id)
    before.DeepCopyMetadata(segmentation.GetSegment(segment_id))

    def undo() -> bool:
        segment = segmentation.GetSegment(segment_id)
        if segment is None:
            return False
        restoreMetadata(segment, before)
        display.SetSegmentOverrideColor(segment_id, *shown)
        return True

    return undo
