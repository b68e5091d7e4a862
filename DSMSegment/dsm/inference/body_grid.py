"""The working grid over the body of a volume: what an encoding costs follows from it, so hosts lay it, too."""

from __future__ import annotations

from dsm.core.volume import Volume
from dsm.inference.body_box import Body, find_body
from dsm.inference.working_grid import WorkingGrid, fewest_blocks


def lay_grid(volume: Volume, *, spacing_mm: float) -> tuple[Body, WorkingGrid]:
    """Find the body and lay the working grid over it: milliseconds, nothing is resampled.

    The air around the body gives way where it would cost a row of blocks: a tenth of the encoding, as often as not.
    """
    body = find_body(volume)
    box = fewest_blocks(body.inner, body.box, input_mm=volume.spacing_mm, working_mm=spacing_mm)
    return body, WorkingGrid.of(volume, box, spacing_mm=spacing_mm)
