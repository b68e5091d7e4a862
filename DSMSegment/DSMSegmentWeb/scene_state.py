"""State of the results at one moment, for redo: segments, their clicks and maps, and names that were not found."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.runs import Maps
from DSMSegmentLib.scene.segment_state import SegmentState
from DSMSegmentWeb.click_tool import ClickState, ClickTool
from DSMSegmentWeb.rows import Row

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, eq=False)
class SceneState:
    """A copy of the results.

    Args:
        segments: By id, in their order.
        clicks: Of the segments that were clicked, by id.
        maps: Of probability and uncertainty.
        missing: Rows without a segment.
    """

    segments: Mapping[str, SegmentState]
    clicks: Mapping[str, ClickState]
    maps: Maps
    missing: Sequence[Row]

    @classmethod
    def of(cls, node: Any, clicks: ClickTool, runs: Runs, missing: Sequence[Row]) -> SceneState:
        """Copy the results of a segmentation."""
        ids = node.GetSegmentation().GetSegmentIDs()
        return cls({id_: SegmentState.of(node, id_) for id_ in ids}, clicks.saved(), runs.savedMaps(), missing)

    @staticmethod
    def difference(one: SceneState, other: SceneState) -> tuple[SceneState, SceneState]:
        """Return both states without the segments, clicks and maps that they have in common."""
        segments = _differing(one.segments, other.segments, SegmentState.equals)
        clicks = _differing(one.clicks, other.clicks, operator.eq)
        (probable, probable_other), (uncertain, uncertain_other) = (
            _differing(mine, yours, operator.is_) for mine, yours in zip(one.maps, other.maps, strict=True)
        )
        return (
            SceneState(segments[0], clicks[0], (probable, uncertain), one.missing),
            SceneState(segments[1], clicks[1], (probable_other, uncertain_other), other.missing),
        )

    def changed_from(self, before: SceneState) -> Sequence[str]:
        """Return the ids of the segments that one step changed: clicked ones, else new ones, else all."""
        clicked = [id_ for id_, now in self.clicks.items() if now.clicks != before._clicks(id_).clicks]
        new = [id_ for id_ in self.segments if id_ not in before.segments]
        return clicked or new or list(self.segments)  # others lose voxels to the former two

    def restore(self, node: Any, clicks: ClickTool, runs: Runs, *, now: SceneState) -> None:
        """Change what differs from the state `now`; the rest stays as it is, whatever was done to it since.

        Both are what `difference` returned.
        """
        segmentation = node.GetSegmentation()
        for id_ in now.segments.keys() - self.segments.keys():
            if segmentation.GetSegment(id_) is not None:
                segmentation.RemoveSegment(id_)
        for id_, state in self.segments.items():
            state.restore(node, id_)
        for id_ in self.clicks.keys() | now.clicks.keys():
            clicks.restore(id_, self._clicks(id_))
        runs.restoreMaps(self.maps, now.maps)

    def _clicks(self, segment_id: str) -> ClickState:
        return self.clicks.get(segment_id, ClickState())


def _differing(
    one: Mapping[_K, _V], other: Mapping[_K, _V], is_same: Callable[[_V, _V], bool]
) -> tuple[dict[_K, _V], dict[_K, _V]]:
    same = {key for key in one.keys() & other.keys() if is_same(one[key], other[key])}
    return (
        {key: value for key, value in one.items() if key not in same},
        {key: value for key, value in other.items() if key not in same},
    )
