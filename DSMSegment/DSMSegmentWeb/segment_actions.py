"""Actions on one result: rename, duplicate, delete, show only this, mark as reviewed. Each change has an undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from dsm.core.segment_tags import COMPLETED, IN_PROGRESS, STATUS_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.mrml import orientedImageFromSegment, setSegmentMask
from DSMSegmentLib.scene.segment_tags import tagOf

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
    segmentation, journal = node.GetSegmentation(), RunJournal(node)
    segment = segmentation.GetSegment(segment_id)
    copy_id = str(segmentation.GenerateUniqueSegmentID(f"{segment_id}_copy"))
    journal.noteAdded(copy_id)
    _add(node, copy_id, segment, orientedImageFromSegment(node, segment_id))
    names = {segmentation.GetSegment(id_).GetName().casefold() for id_ in segmentation.GetSegmentIDs()}
    name, number = f"{segment.GetName()} copy", 1
    while name.casefold() in names:
        number += 1
        name = f"{segment.GetName()} copy {number}"
    segmentation.GetSegment(copy_id).SetName(name)

    def undo() -> bool:
        journal.revert()
        return True

    return undo


def delete(node: Any, segment_id: str) -> Undo:
    """Delete a segment; the undo function restores it in its place, with everything but its clicks."""
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    metadata, mask = slicer.vtkSegment(), orientedImageFromSegment(node, segment_id)
    metadata.DeepCopyMetadata(segmentation.GetSegment(segment_id))
    place = segmentation.GetSegmentIndex(segment_id)
    color = tuple(display.GetSegmentOverrideColor(segment_id))
    segmentation.RemoveSegment(segment_id)

    def undo() -> bool:
        if node.GetScene() is None or segmentation.GetSegment(segment_id) is not None:
            return False
        _add(node, segment_id, metadata, mask)
        segmentation.SetSegmentIndex(segment_id, place)
        display.SetSegmentOverrideColor(segment_id, *color)
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


def _add(node: Any, segment_id: str, metadata: slicer.vtkSegment, mask: slicer.vtkOrientedImageData) -> None:
    segmentation = node.GetSegmentation()
    segmentation.AddEmptySegment(segment_id, metadata.GetName(), metadata.GetColor())
    segment = segmentation.GetSegment(segment_id)
    label = segment.GetLabelValue()  # belongs to the layer that the segment lies in
    segment.DeepCopyMetadata(metadata)
    segment.SetLabelValue(label)
    if mask.GetNumberOfPoints():
        setSegmentMask(node, segment_id, mask)
