"""Actions on one result: rename, duplicate, delete, show only this, mark as reviewed. Each change has an undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dsm.core.segment_tags import COMPLETED, IN_PROGRESS, STATUS_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.segment_tags import tagOf
from DSMSegmentWeb.segment_state import NO_COLOR, SegmentState

Undo = Callable[[], bool]


def rename(node: Any, segment_id: str, name: str) -> Undo:
    """Rename a segment; its code and the prompt that it came from stay.

    Raises:
        InputError: If the name is empty, or another segment has it.
    """
    segmentation = node.GetSegmentation()
    segment, new = segmentation.GetSegment(segment_id), name.strip()
    others = {
        segmentation.GetSegment(id_).GetName().casefold() for id_ in segmentation.GetSegmentIDs() if id_ != segment_id
    }
    if not new or new.casefold() in others:
        message = f"{new!r} is taken." if new else "The name is empty."
        raise InputError(message, code="input.edit", hint="Choose another name.")
    before = segment.GetName()
    segment.SetName(new)

    def undo() -> bool:
        renamed = segmentation.GetSegment(segment_id)
        if renamed is not None:
            renamed.SetName(before)
        return renamed is not None

    return undo


def duplicate(node: Any, segment_id: str) -> Undo:
    """Add a copy of a segment, with its code and tags."""
    segmentation = node.GetSegmentation()
    copy_id = str(segmentation.GenerateUniqueSegmentID(f"{segment_id}_copy"))
    names = {segmentation.GetSegment(id_).GetName().casefold() for id_ in segmentation.GetSegmentIDs()}
    name = f"{segmentation.GetSegment(segment_id).GetName()} copy"
    numbered, number = name, 1
    while numbered.casefold() in names:
        number += 1
        numbered = f"{name} {number}"
    copy = SegmentState.of(node, segment_id)
    copy.metadata.SetName(numbered)
    replace(copy, place=segmentation.GetNumberOfSegments(), shown_color=NO_COLOR, visible=True).restore(node, copy_id)

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


def toggle_reviewed(node: Any, segment_id: str) -> None:
    """Set the status of Slicer's segment tables to completed, or back to in progress."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    segment.SetTag(STATUS_TAG, IN_PROGRESS if tagOf(segment, STATUS_TAG) == COMPLETED else COMPLETED)
