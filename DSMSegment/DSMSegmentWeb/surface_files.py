"""Surfaces of segments as STL files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vtk

from dsm.errors import OutputError
from dsm.io.atomic import atomic_output
from DSMSegmentLib.scene.surface_maker import SURFACE, hasSurfaces

# Slicer reads the first 80 characters, and takes a file that says nothing for LPS, too.
_HEADER = "DSMSegment SPACE=LPS"


def surfaces_of(segmentation_node: Any) -> dict[str, vtk.vtkPolyData]:
    """Return the surfaces that the 3-D view shows, in RAS mm, by segment id; empty segments have none."""
    if not hasSurfaces(segmentation_node):
        segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation = segmentation_node.GetSegmentation()
    surfaces = {}
    for segment_id in segmentation.GetSegmentIDs():
        shown = segmentation.GetSegment(segment_id).GetRepresentation(SURFACE)
        if shown is not None and shown.GetNumberOfCells():
            surfaces[segment_id] = vtk.vtkPolyData()
            surfaces[segment_id].ShallowCopy(shown)
    return surfaces


def write_stl(path: Path, surface: vtk.vtkPolyData) -> None:
    """Write a surface as binary STL, in LPS mm.

    Args:
        path: The file.
        surface: In RAS mm.

    Raises:
        OutputError: If it cannot be written.
    """
    ras_to_lps = vtk.vtkTransform()
    ras_to_lps.Scale(-1.0, -1.0, 1.0)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(ras_to_lps)
    moved.SetInputData(surface)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(moved.GetOutputPort())
    with atomic_output(path) as part:
        writer = vtk.vtkSTLWriter()
        writer.SetInputConnection(triangles.GetOutputPort())
        writer.SetFileName(str(part))
        writer.SetFileTypeToBinary()
        writer.SetHeader(_HEADER)
        if not writer.Write() or writer.GetErrorCode():
            message = f"{path.name} could not be written."
            raise OutputError(message, hint="Free some space in the folder for temporary files, then try again.")
