"""A click: one point in the patient, inside or outside of the object to segment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsm.errors import InputError

if TYPE_CHECKING:
    from dsm.core.boxes import CroppedArray, Index3
    from dsm.core.structure import Kind
    from dsm.core.volume import Volume

#: Of one prompt.
MAX_CLICKS = 200


@dataclass(frozen=True, slots=True)
class Click:
    """A point in the patient.

    Args:
        ras_mm: Where: right, anterior, superior, in millimetres.
        inside: Whether the point belongs to the structure; False says that it does not.

    Raises:
        InputError: If `ras_mm` is not three finite numbers.

    Example:
        >>> Click((12.5, -30, 88))
        Click(ras_mm=(12.5, -30.0, 88.0), inside=True)
    """

    ras_mm: tuple[float, float, float]
    inside: bool = True

    def __post_init__(self) -> None:
        try:
            r, a, s = (float(value) for value in self.ras_mm)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The click {self.ras_mm!r} is not three numbers.",
                code="click",
                hint="Give right, anterior, superior in mm.",
            ) from error
        if not all(math.isfinite(value) for value in (r, a, s)):
            raise InputError(f"The click {self.ras_mm!r} is not finite.", code="click", hint="Click again.")
        object.__setattr__(self, "ras_mm", (r, a, s))


def corrects_text_mask(kind: Kind) -> bool:
    """Return whether clicks correct the mask of a prompt's name; that of a lesion's name may show other lesions.

    Args:
        kind: Of the prompt.
    """
    return kind == "organ"


def check_clicks(clicks: Sequence[Click], kind: Kind) -> None:
    """Check the clicks of a prompt. Those that correct a mask may all be outside.

    Args:
        clicks: In their order.
        kind: Of the prompt.

    Raises:
        InputError: Code `"click.inside"` if none is inside, `"click.too_many"` beyond `MAX_CLICKS`.
    """
    if len(clicks) > MAX_CLICKS:
        raise InputError(
            f"A prompt has {len(clicks)} clicks; at most {MAX_CLICKS} are allowed.",
            code="click.too_many",
            hint="Leave out those that lie close together.",
        )
    if not corrects_text_mask(kind):
        check_inside(clicks)


def check_inside(clicks: Sequence[Click]) -> None:
    """Check that clicks say where an object is.

    Raises:
        InputError: Code `"click.inside"` if none is inside.
    """
    if not any(click.inside for click in clicks):
        raise InputError(
            "No click is inside of the structure.", code="click.inside", hint="Click on the structure first."
        )


def check_in_volume(clicks: Sequence[Click], volume: Volume) -> None:
    """Check that each click lies in a voxel of the volume.

    Raises:
        InputError: Code `"click.outside"`, with the place of the first that does not.
    """
    for click, voxel in zip(clicks, voxels_of(clicks, volume), strict=True):
        if any(not -0.5 <= value <= length - 0.5 for value, length in zip(voxel, volume.shape, strict=True)):
            place = ", ".join(f"{value:.1f}" for value in click.ras_mm)
            raise InputError(
                f"The click at {place} mm lies outside of the volume.", code="click.outside", hint="Click in the image."
            )


def contradicted(clicks: Sequence[Click], volume: Volume, mask: CroppedArray) -> list[Click]:
    """Return the clicks inside whose voxel a mask leaves out, and the clicks outside whose voxel it holds.

    Args:
        clicks: In voxels of the volume.
        volume: Grid of the mask.
        mask: Non-zero inside.
    """
    return [click for click in clicks if mask.holds(nearest_voxel(click, volume)) != click.inside]


def nearest_voxel(click: Click, volume: Volume) -> Index3:
    """Return the voxel of a volume that is nearest to a click."""
    (voxel,) = voxels_of([click], volume)
    i, j, k = (min(max(round(n), 0), length - 1) for n, length in zip(voxel, volume.shape, strict=True))
    return i, j, k


def voxels_of(clicks: Sequence[Click], volume: Volume) -> list[list[float]]:
    """Return the voxel coordinates of clicks, whole numbers at the centres of voxels."""
    import numpy as np  # noqa: PLC0415  # prompts are parsed by light commands, which have no voxels

    to_voxel = np.linalg.inv(volume.affine)
    return [(to_voxel @ (*click.ras_mm, 1.0))[:3].tolist() for click in clicks]
