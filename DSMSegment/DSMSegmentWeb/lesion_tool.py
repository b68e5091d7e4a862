"""Lesions of the selected result: listed, shown in the views, accepted and rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsm.core.segment_tags import COMPLETED, STATUS_TAG
from dsm.errors import InputError
from dsm.inference.lesion_list import MeasuredLesion, axial_slices
from DSMSegmentLib.panel.lesion_text import MOST_LESIONS, diametersText, intensityText, lesionVolumeText
from DSMSegmentLib.scene.lesions import hasLesions, lesionsOf, removeLesion
from DSMSegmentLib.scene.mrml import ijkToRAS, maskTime
from DSMSegmentLib.scene.segment_tags import tagOf
from DSMSegmentWeb.edits import journaled
from DSMSegmentWeb.segment_actions import toggle_reviewed
from DSMSegmentWeb.viewer import Viewer


class LesionTool:
    """List of the lesions of the selected result, if it is a tumor.

    Args:
        state: State of the page: `lesions` are the rows, `shown_lesion` is the one shown in the views.
        viewer: Views of the scene.
    """

    def __init__(self, state: Any, viewer: Viewer) -> None:
        self._state = state
        self._viewer = viewer
        self._listed: list[MeasuredLesion] = []
        # Segment, mask and scan that the list is of.
        self._source: tuple[str, int, int] | None = None
        # Segment, first voxel and volume: a lesion that changes has to be looked at again.
        self._accepted: set[tuple[str, Sequence[int], float]] = set()

    def show(self) -> None:
        """Update the list after a change of the masks or the selection."""
        state, node = self._state, self._viewer.segmentation_node
        is_tumor = bool(state.selected) and hasLesions(node, state.selected)
        source = self._source_of(state.selected) if is_tumor else None
        if source != self._source:
            self._listed = lesionsOf(node, state.selected, most=MOST_LESIONS) if is_tumor else []
            self._source = source
        state.lesions = [self._row(number, lesion) for number, lesion in enumerate(self._listed, start=1)]
        if state.shown_lesion not in [row["id"] for row in state.lesions]:
            state.shown_lesion = ""
        state.lesion_note = axial_slices(ijkToRAS(self._viewer.volume_node)).note if self._listed else ""

    def forget(self) -> None:
        """Forget which lesions were accepted, for another scan."""
        self._accepted.clear()
        self._listed, self._source = [], None
        self._state.lesions, self._state.shown_lesion, self._state.lesion_note = [], "", ""

    def jump(self, lesion_id: str) -> None:
        """Move all views to a lesion, the axial one to the slice of its diameters."""
        lesion = self._find(lesion_id)
        if lesion is not None:
            self._state.shown_lesion = lesion_id
            self._viewer.jump(lesion.view_ras_mm)

    def accept(self, lesion_id: str) -> None:
        """Accept a lesion, or take that back. The result is reviewed when all of its lesions are accepted."""
        lesion = self._find(lesion_id)
        if lesion is None:
            return
        if self._is_accepted(lesion):
            others = [one for one in self._listed if one is not lesion and self._is_accepted(one)]
            self._accepted -= {self._key(lesion)}
            self._accepted |= {self._key(one) for one in others}
        else:
            self._accepted.add(self._key(lesion))
        self._mark_result()

    def reject(self, lesion_id: str) -> Callable[[], bool]:
        """Remove a lesion from the mask; returns the undo function.

        Raises:
            InputError: If the list is older than the mask.
        """
        lesion = self._find(lesion_id)
        node, segment_id = self._viewer.segmentation_node, self._state.selected
        take_back = journaled(node, segment_id)
        if lesion is None or not removeLesion(node, segment_id, lesion.voxel_ijk):
            raise InputError("The lesion is not there any more.", code="input.edit", hint="Choose it from the list.")
        self._listed.remove(lesion)
        self._mark_result()
        return take_back

    def _source_of(self, segment_id: str) -> tuple[str, int, int]:
        mask = maskTime(self._viewer.segmentation_node, segment_id)
        return segment_id, mask, self._viewer.volume_node.GetImageData().GetMTime()

    def _find(self, lesion_id: str) -> MeasuredLesion | None:
        return next((lesion for lesion in self._listed if _id(lesion) == lesion_id), None)

    def _key(self, lesion: MeasuredLesion) -> tuple[str, Sequence[int], float]:
        return self._state.selected, lesion.voxel_ijk, lesion.volume_ml

    @property
    def _is_reviewed(self) -> bool:
        segment = self._viewer.segmentation_node.GetSegmentation().GetSegment(self._state.selected)
        return tagOf(segment, STATUS_TAG) == COMPLETED

    def _is_accepted(self, lesion: MeasuredLesion) -> bool:
        return self._is_reviewed or self._key(lesion) in self._accepted

    def _mark_result(self) -> None:
        """Mark the result as reviewed if all of its lesions are accepted, else as not reviewed."""
        all_accepted = bool(self._listed) and all(self._key(lesion) in self._accepted for lesion in self._listed)
        if all_accepted != self._is_reviewed:
            toggle_reviewed(self._viewer.segmentation_node, self._state.selected)

    def _row(self, number: int, lesion: MeasuredLesion) -> dict[str, Any]:
        return {
            "id": _id(lesion),
            "number": number,
            "diameters": diametersText(lesion),
            "volume": lesionVolumeText(lesion),
            "intensity": intensityText(lesion, isCT=self._state.is_ct),
            "slice": lesion.slice_number,
            "accepted": self._is_accepted(lesion),
        }


def _id(lesion: MeasuredLesion) -> str:
    return ",".join(map(str, lesion.voxel_ijk))
