"""Lesions of the selected result: listed, shown in the views, accepted and rejected."""

from __future__ import annotations

from typing import Any

from dsm.errors import InputError
from dsm.inference.lesion_list import MeasuredLesion, axial_slices
from DSMSegmentLib.panel.lesion_text import diametersText, intensityText, lesionVolumeText
from DSMSegmentLib.scene.lesion_review import acceptedLesions, acceptLesions
from DSMSegmentLib.scene.lesions import hasLesions, removeLesion
from DSMSegmentLib.scene.listed_lesions import ListedLesions
from DSMSegmentLib.scene.mrml import ijkToRAS, maskTime
from DSMSegmentWeb.edits import journaled
from DSMSegmentWeb.segment_actions import Undo, described_before
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
        self._lesions = ListedLesions()
        # Segment, mask and scan that the list is of.
        self._source: tuple[str, int, int] | None = None

    def show(self) -> None:
        """Update the list after a change of the masks or the selection."""
        state, node = self._state, self._viewer.segmentation_node
        is_tumor = bool(state.selected) and hasLesions(node, state.selected)
        source = self._source_of(state.selected) if is_tumor else None
        if source != self._source:
            self._lesions = ListedLesions.of(node, state.selected) if is_tumor else ListedLesions()
            self._source = source
        accepted = self._accepted() if is_tumor else []
        state.lesions = [
            self._row(number, lesion, accepted=lesion in accepted)
            for number, lesion in enumerate(self._lesions.listed, start=1)
        ]
        if state.shown_lesion not in [row["id"] for row in state.lesions]:
            state.shown_lesion = ""
        state.lesion_note = axial_slices(ijkToRAS(self._viewer.volume_node)).note if self._lesions.listed else ""

    def forget(self) -> None:
        """Forget the list, for another scan."""
        self._lesions, self._source = ListedLesions(), None
        self._state.lesions, self._state.shown_lesion, self._state.lesion_note = [], "", ""

    def jump(self, lesion_id: str) -> None:
        """Move all views to a lesion, the axial one to the slice of its diameters."""
        lesion = self._find(lesion_id)
        if lesion is not None:
            self._state.shown_lesion = lesion_id
            self._viewer.jump(lesion.view_ras_mm)

    def accept(self, lesion_id: str) -> Undo:
        """Accept a lesion, or take that back: the result is reviewed when all are accepted; returns the undo function.

        Raises:
            InputError: If the list is older than the mask.
        """
        lesion, node, segment_id = self._found(lesion_id), self._viewer.segmentation_node, self._state.selected
        take_back = described_before(node, segment_id)
        accepted = self._accepted()
        others = [one for one in accepted if one is not lesion]
        acceptLesions(node, segment_id, self._lesions.largest, others if lesion in accepted else [*others, lesion])
        return take_back

    def reject(self, lesion_id: str) -> Undo:
        """Remove a lesion from the mask; returns the undo function.

        Raises:
            InputError: If the list is older than the mask.
        """
        lesion, node, segment_id = self._found(lesion_id), self._viewer.segmentation_node, self._state.selected
        take_back, accepted = journaled(node, segment_id), acceptedLesions(node, segment_id, self._lesions.largest)
        if not removeLesion(node, segment_id, lesion.voxel_ijk):
            raise _gone()
        left = [one for one in self._lesions.largest if one is not lesion]
        acceptLesions(node, segment_id, left, [one for one in accepted if one is not lesion])
        return take_back

    def _source_of(self, segment_id: str) -> tuple[str, int, int]:
        mask = maskTime(self._viewer.segmentation_node, segment_id)
        return segment_id, mask, self._viewer.volume_node.GetImageData().GetMTime()

    def _find(self, lesion_id: str) -> MeasuredLesion | None:
        return next((lesion for lesion in self._lesions.listed if _id(lesion) == lesion_id), None)

    def _found(self, lesion_id: str) -> MeasuredLesion:
        lesion = self._find(lesion_id)
        if lesion is None:
            raise _gone()
        return lesion

    def _accepted(self) -> list[MeasuredLesion]:
        return acceptedLesions(self._viewer.segmentation_node, self._state.selected, self._lesions.listed)

    def _row(self, number: int, lesion: MeasuredLesion, *, accepted: bool) -> dict[str, Any]:
        return {
            "id": _id(lesion),
            "number": number,
            "diameters": diametersText(lesion),
            "volume": lesionVolumeText(lesion),
            "intensity": intensityText(lesion, isCT=self._state.is_ct),
            "slice": lesion.slice_number,
            "accepted": accepted,
        }


def _id(lesion: MeasuredLesion) -> str:
    return ",".join(map(str, lesion.voxel_ijk))


def _gone() -> InputError:
    return InputError("The lesion is not there any more.", code="input.edit", hint="Choose it from the list.")
