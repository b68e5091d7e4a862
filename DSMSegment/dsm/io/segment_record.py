"""A segment as the writers take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRecord:
    """A named mask on the grid of a volume.

    Args:
        name: What the user sees; any text.
        mask: Non-zero inside; may be empty.
        color: Red, green, blue, 0 to 255.
        terminology_tag: Slicer's terminology entry (`Terminology.to_tag()`), or empty.
        tags: Further tags of the segment, e.g. `{"DICOM.SegmentAlgorithmType": "AUTOMATIC"}`.
    """

    name: str
    mask: CroppedArray
    color: tuple[int, int, int]
    terminology_tag: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def check_on_grid(name: str, crop: CroppedArray, volume: Volume) -> None:
    """Check that a crop lies on the grid of the volume.

    Raises:
        ShapeError: If it reaches outside.
    """
    if crop.box.clip(volume.shape) != crop.box:
        raise ShapeError(f"{name} reaches outside of the grid {volume.shape}: {crop.box}.", code="input.box")


def check_records(records: Sequence[SegmentRecord], volume: Volume) -> None:
    """Check that every mask lies on the grid of the volume."""
    for record in records:
        check_on_grid(record.name, record.mask, volume)
