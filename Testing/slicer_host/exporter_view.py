"""Segments as Slicer's exporter of DICOM SEG sees them; by its own code with `DSM_SLICER_SOURCE`, a checkout of Slicer.

Held against `isSegmentEmpty` in `Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py` of 5.12.3 and 5.13.
"""

from __future__ import annotations

from typing import Any

import checkout

SCALARS = "ImageScalars"
_HAS_EXPORTER = checkout.has("Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py")  # 5.10 has none
if _HAS_EXPORTER:
    import panel_host  # noqa: F401  (makes the files of the checkout importable)
    from DICOMSegmentationPlugin import DICOMSegmentationExporter


def exported_ids(node: Any) -> list[str]:
    """Return the segments that the exporter does not take for empty."""
    ids = list(node.GetSegmentation().GetSegmentIDs())
    if not _HAS_EXPORTER:
        return [id_ for id_ in ids if not _is_empty(node.GetSegmentation().GetSegment(id_))]
    exporter = DICOMSegmentationExporter(node)
    try:
        return list(exporter.getNonEmptySegmentIDs(ids))
    finally:
        exporter.cleanup()


def array_names(node: Any) -> dict[str, str | None]:
    """Return the names of the arrays that hold the masks, by segment; None for a segment without any."""
    names: dict[str, str | None] = {}
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        layer = node.GetSegmentation().GetSegment(segment_id).GetRepresentation("Binary labelmap")
        scalars = layer.GetPointData().GetScalars() if layer is not None else None
        names[segment_id] = scalars.GetName() if scalars is not None else None
    return names


def _is_empty(segment: Any) -> bool:
    array = segment.GetRepresentation("Binary labelmap").GetPointData().GetArray(SCALARS)
    return array is None or array.GetValueRange() == (0, 0)
