"""Several clicked lesions of one name: each is segmented from its own clicks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from scipy import ndimage

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click, check_in_volume, check_inside, corrects_text_mask, nearest_voxel
from dsm.core.structure import Kind
from dsm.inference.click_scan import ClickResult, ClickScan

# Between clicks of one lesion, whatever the masks say: those of a drag are 6 mm apart.
_SAME_MM = 8.0
_MOST_GROUPED = 32  # lists of clicks
_Clicks = tuple[Click, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ClickedLesions:
    """Clicks of a name that many things in a volume may have.

    The click network takes all clicks for those of one object: with clicks in two lesions, it marks what lies between.
    So a click inside begins another lesion where the masks of the lesions so far do not hold it, no click is near, and
    the mask of it alone touches none of theirs.

    Args:
        scan: Prepared volume, without a mask to correct.
    """

    scan: ClickScan
    _grouped: OrderedDict[_Clicks, tuple[_Clicks, ...]] = field(default_factory=OrderedDict, repr=False)

    def segment(self, clicks: Sequence[Click], *, on_look: Callable[[], None] = lambda: None) -> ClickResult:
        """Segment the clicked lesions.

        Args:
            clicks: In their order; at least one is inside.
            on_look: As in `ClickScan.segment`.

        Returns:
            Mask and volume of all lesions; the rest is that of the lesion that was clicked last.

        Raises:
            InputError: As in `ClickScan.segment`.
        """
        check_inside(clicks)
        check_in_volume(clicks, self.scan.volume)
        lesions = self._lesions(tuple(clicks), on_look)
        results = [self.scan.segment(lesion, on_look=on_look) for lesion in lesions]
        if len(results) == 1:
            return results[0]
        mask = reduce(CroppedArray.union, [result.mask for result in results])
        last = next(row for row, lesion in enumerate(lesions) if clicks[-1] in lesion)
        return replace(results[last], mask=mask, volume_ml=self.scan.volume.ml_of(mask.num_voxels))

    def _lesions(self, clicks: _Clicks, on_look: Callable[[], None]) -> tuple[_Clicks, ...]:
        """Group clicks, from the groups of the longest beginning of them that is known."""
        first = 1 + next(row for row, click in enumerate(clicks) if click.inside)
        known = next((n for n in range(len(clicks), first, -1) if clicks[:n] in self._grouped), first)
        lesions = list(self._grouped.get(clicks[:known], (clicks[:first],)))
        for click in clicks[known:]:
            row = self._lesion_of(click, lesions, on_look)
            lesions[row : row + 1] = [(*lesions[row], click) if row < len(lesions) else (click,)]
        self._grouped[clicks] = tuple(lesions)
        while len(self._grouped) > _MOST_GROUPED:
            self._grouped.popitem(last=False)
        return self._grouped[clicks]

    def _lesion_of(self, click: Click, lesions: Sequence[_Clicks], on_look: Callable[[], None]) -> int:
        """Return the number of the lesion that a click belongs to; that of the next one where it begins another."""
        distances = [min(math.dist(click.ras_mm, one.ras_mm) for one in lesion if one.inside) for lesion in lesions]
        nearest = int(np.argmin(distances))
        if distances[nearest] <= _SAME_MM or (not click.inside and len(lesions) == 1):
            return nearest
        masks = [self.scan.segment(lesion, on_look=on_look).mask for lesion in lesions]
        voxel = nearest_voxel(click, self.scan.volume)
        holding = [row for row, mask in enumerate(masks) if mask.holds(voxel)]
        if holding or not click.inside:
            return min(holding, key=distances.__getitem__, default=nearest)
        alone = self.scan.segment((click,), on_look=on_look).mask
        if not alone.array.size:
            return nearest
        shared = [_shared_voxels(_grown(alone), mask) for mask in masks]
        return int(np.argmax(shared)) if any(shared) else len(lesions)


def by_lesion(scan: ClickScan, kind: Kind) -> ClickScan | ClickedLesions:
    """Return what segments the clicks of a prompt of a kind: an organ is one object, of lesions there may be many."""
    return scan if corrects_text_mask(kind) else ClickedLesions(scan)


def _grown(mask: CroppedArray) -> CroppedArray:
    """Add the voxels that touch a mask, if only at a corner."""
    starts = [min(1, start) for start in mask.offset_ijk]  # the grid ends there
    padded = np.pad(mask.array != 0, [(start, 1) for start in starts])
    i, j, k = (offset - start for offset, start in zip(mask.offset_ijk, starts, strict=True))
    return CroppedArray(ndimage.maximum_filter(padded, size=3), (i, j, k))


def _shared_voxels(a: CroppedArray, b: CroppedArray) -> int:
    """Count the voxels that are in both masks."""
    ours, theirs = a.inside(b.box), b.inside(a.box)
    return int(np.count_nonzero((ours.array != 0) & (theirs.array != 0))) if ours.array.size else 0
