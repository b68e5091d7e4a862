"""Clicks on a segment in the Segment Editor, in step with the editor's own undo and redo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer

from dsm.core.click import Click
from DSMSegmentLib.scene.click_list import addClick, clicksOf, makeClickList, removeClickList, setClicks, takeBackLast
from DSMSegmentLib.scene.mrml import orientedImageFromSegment
from DSMSegmentLib.scene.placed_mask import PlacedMask
from DSMSegmentLib.scene.taken_voxels import Taken


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A mask of the segment, the clicks that it is of, none for the mask from before them, and what it took."""

    image: slicer.vtkOrientedImageData
    clicks: tuple[Click, ...]
    taken: Taken


class EditorClicks:
    """Series of clicks on one segment, shown as points that are not saved.

    Which clicks count is found by the mask: after an undo they are those of the mask that came back, and a segment that
    was painted since starts a new series.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        volumeNode: That is clicked.
    """

    def __init__(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        self.segmentationNode, self._segmentId, self._volumeNode = segmentationNode, segmentId, volumeNode
        self._states: list[_State] = []
        self._points = makeClickList("Clicks in the Segment Editor", volumeNode)
        self._points.SetSaveWithScene(False)
        self._points.SetHideFromEditors(True)
        self._points.SetLocked(True)  # the mouse belongs to the effect
        self.follow()

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Clicks in the volume's own RAS, those that are not applied yet included."""
        return clicksOf(self._points, self._volumeNode)

    @property
    def before(self) -> slicer.vtkOrientedImageData:
        """Mask from before the first click."""
        return self._states[0].image

    @property
    def taken(self) -> Taken:
        """Voxels that the present mask took from other segments since the first click."""
        state = self._state()
        return state.taken if state is not None else {}

    def isOf(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
    ) -> bool:
        """Return whether these are the clicks of a segment on a volume, both still in the scene."""
        there = self._points.GetScene() is not None and volumeNode.GetScene() is not None
        same = (self.segmentationNode, self._segmentId, self._volumeNode) == (segmentationNode, segmentId, volumeNode)
        return there and same

    def follow(self) -> None:
        """Take the clicks of the present mask: what was not applied, or was undone, is dropped."""
        state = self._state()
        if state is None:
            state = _State(orientedImageFromSegment(self.segmentationNode, self._segmentId), (), {})
            self._states = [state]
        setClicks(self._points, self._volumeNode, state.clicks)

    def add(self, world: Sequence[float], *, inside: bool) -> None:
        """Add a click, in world RAS."""
        addClick(self._points, world, inside=inside)

    def takeBack(self) -> bool:
        """Remove the last click; returns whether there was one."""
        return takeBackLast(self._points)

    def noteWritten(self, clicks: tuple[Click, ...], taken: Taken) -> None:
        """Note that the present mask is that of some clicks, and what it took from other segments."""
        self._states.append(_State(orientedImageFromSegment(self.segmentationNode, self._segmentId), clicks, taken))

    def close(self) -> None:
        """Remove the points from the views."""
        removeClickList(self._points)

    def _state(self) -> _State | None:
        """Return the state of the present mask; None where a person has painted since."""
        mask = PlacedMask.of(orientedImageFromSegment(self.segmentationNode, self._segmentId))
        return next((state for state in reversed(self._states) if PlacedMask.of(state.image).isSameAs(mask)), None)
