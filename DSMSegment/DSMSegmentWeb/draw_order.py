"""Order of the segments in a slice view: lesions above all others, whichever was there first.

Slicer draws segments in the order in which they came, and has no setting for it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import vtk

from dsm.core.display_colors import RGB


def draw_above(renderer: vtk.vtkRenderer, colors: Collection[RGB]) -> None:
    """Move the fills and outlines of some colours above those of all other segments; other things keep their place.

    Args:
        renderer: Of a slice view.
        colors: Of lesions.
    """
    if not colors:  # this runs at each drawing of each view
        return
    props = renderer.GetViewProps()
    drawn = [
        (place, prop, color)
        for place, prop in enumerate(props.GetItemAsObject(number) for number in range(props.GetNumberOfItems()))
        if (color := _segment_color(prop)) is not None
    ]
    ordered = sorted(drawn, key=lambda one: one[2] in colors)
    for (place, before, _), (_, prop, _) in zip(drawn, ordered, strict=True):
        if prop is not before:
            props.ReplaceItem(place, prop)


def _segment_color(prop: Any) -> RGB | None:
    """Return the colour of the fill or the outline of a segment; None for anything else that is drawn."""
    mapper = prop.GetMapper() if isinstance(prop, vtk.vtkActor2D) else None
    source = mapper.GetInputAlgorithm() if isinstance(mapper, vtk.vtkImageMapper) else None
    table = source.GetLookupTable() if isinstance(source, vtk.vtkImageMapToRGBA) else None
    if table is None:
        return None
    # Of the values of a layer that segments share, the others are transparent.
    values = (table.GetTableValue(number) for number in range(table.GetNumberOfTableValues()))
    red, green, blue = next((value[:3] for value in values if value[3] > 0), (0.0, 0.0, 0.0))
    return round(255 * red), round(255 * green), round(255 * blue)
