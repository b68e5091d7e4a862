"""Lesions of a segment that a list shows, in the panel and on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer

from DSMSegmentLib.scene.lesions import lesionMeasurement

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion

# A mask of noise has thousands of parts, of which nobody reads a list.
MOST_LESIONS = 100


@dataclass(frozen=True, slots=True)
class ListedLesions:
    """Lesions of a segment, the largest first.

    Args:
        largest: Those that are listed and, where there are more, one more: a segment whose listed lesions are all
            accepted is then not taken for reviewed.
    """

    largest: Sequence[MeasuredLesion] = ()

    @classmethod
    def of(cls, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> ListedLesions:
        """Measure the lesions of a segment; raises as `lesionMeasurement`."""
        return cls.measurement(segmentationNode, segmentId)()

    @classmethod
    def measurement(
        cls, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
    ) -> Callable[[], ListedLesions]:
        """Return a function that measures them, which any thread may call; raises as `lesionMeasurement`."""
        measure = lesionMeasurement(segmentationNode, segmentId, most=MOST_LESIONS + 1)
        return lambda: cls(measure())

    @property
    def listed(self) -> Sequence[MeasuredLesion]:
        """Lesions that are listed."""
        return self.largest[:MOST_LESIONS]

    @property
    def hasMore(self) -> bool:
        """True if the segment has lesions that are not listed."""
        return len(self.largest) > MOST_LESIONS
