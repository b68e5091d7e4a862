"""What Slicer's exporter of DICOM SEG sees of segments; by its own code with `DSM_SLICER_SOURCE`, a checkout of Slicer.

Held against `isSegmentEmpty` in `Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py` of 5.12.3 and 5.13.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

SCALARS = "ImageScalars"
_PLUGIN = "Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py"
_METHODS = ("getNonEmptySegmentIDs", "isSegmentEmpty")


def exported_ids(node: Any) -> list[str]:
    """Return the segments that the exporter does not take for empty."""
    ids = list(node.GetSegmentation().GetSegmentIDs())
    source = os.environ.get("DSM_SLICER_SOURCE")
    path = Path(source or "") / _PLUGIN
    if source and path.is_file():  # 5.10 has no such plug-in
        return list(_non_empty(path, node)(ids))
    return [id_ for id_ in ids if not _is_empty(node.GetSegmentation().GetSegment(id_))]


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


def _non_empty(path: Path, node: Any) -> Callable[[list[str]], list[str]]:
    """Return the method of Slicer's class, without those that need the application."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (exporter,) = (
        one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "DICOMSegmentationExporter"
    )
    exporter.body = [one for one in exporter.body if getattr(one, "name", "") in _METHODS]
    if len(exporter.body) != len(_METHODS):
        raise NotImplementedError(f"{path} has other methods.")
    scope: dict[str, Any] = {"vtkSegmentationCore": slicer}
    exec(compile(ast.Module([exporter], []), str(path), "exec"), scope)  # noqa: S102  (a checkout that the user named)
    made = scope[exporter.name]()
    made.segmentationNode = node
    return made.getNonEmptySegmentIDs
