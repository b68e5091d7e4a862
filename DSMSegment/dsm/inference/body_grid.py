"""Working grid over the body of a volume, from which clients can predict the cost of encoding."""

from __future__ import annotations

import math

from dsm.core.boxes import Box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.body_box import Body, find_body
from dsm.inference.working_grid import WorkingGrid, snap_to_blocks

# What the network sees around a region: docs/adr/0012.
CONTEXT_MM = 60.0


def make_working_grid(volume: Volume, *, spacing_mm: float, region: Box | None = None) -> tuple[Body, WorkingGrid]:
    """Find the body and make the working grid over it; takes milliseconds, nothing is resampled.

    The air around the body gives way where it would cost a row of blocks: a tenth of the encoding, as often as not.

    Args:
        volume: CT or MR.
        spacing_mm: Of the network.
        region: Voxels of the volume that matter: the grid is laid over them and 6 cm around them. An MR image is
            encoded whole in any case, since its intensities are scaled by those of the body.
    """
    body = find_body(volume)
    inner, outer = body.inner, body.box
    if region is not None and volume.modality == "CT":
        near = region.grow([math.ceil(CONTEXT_MM / mm) for mm in volume.spacing_mm]).clip(volume.shape)
        # A region in the air beside the patient is nothing to crop to.
        inner, outer = (box.intersect(near) for box in (inner, outer))
        if inner.is_empty:
            inner = outer = near
    orientation = Orientation.of(volume.affine)
    box = snap_to_blocks(
        orientation.box_to_ras(inner, volume.shape),
        orientation.box_to_ras(outer, volume.shape),
        input_mm=[volume.spacing_mm[axis] for axis in orientation.axes],
        working_mm=spacing_mm,
    )
    return body, WorkingGrid.of(volume, orientation.box_from_ras(box, volume.shape), spacing_mm=spacing_mm)
