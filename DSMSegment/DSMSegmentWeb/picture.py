"""Picture of the four views as they are shown, with orientation letters, positions and a legend of the results."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from slicer import vtkMRMLLayerDisplayableManager
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData

from dsm.io.atomic import atomic_output
from DSMSegmentWeb.rows import Row
from DSMSegmentWeb.view_readout import edge_letters, slice_text, to_array, volume_of
from DSMSegmentWeb.view_tools import view_title

_COLUMNS = 2
# Pixels; the last one is the height of the scale at the lower edge of a slice.
_GAP, _LINE, _RULER = 2, 22, 26
_NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True, slots=True, eq=False)
class ViewPicture:
    """Picture of one view.

    Args:
        pixels: uint8 `[rows, columns, 3]`.
        title: Name of the view.
        edges: Letters at its left, right, upper and lower edge; empty for the 3-D view.
        position: Number and position of the slice; empty for the 3-D view.
    """

    pixels: np.ndarray
    title: str
    edges: tuple[str, ...] = ()
    position: str = ""


def capture(view: Any) -> ViewPicture:
    """Return what a view shows, drawn anew."""
    window, image = view.render_window(), vtkImageData()
    window.Render()
    # As trame-slicer does it: the filter of VTK would change the cameras.
    vtkMRMLLayerDisplayableManager.RenderWindowBufferToImage(window, image)
    columns, rows, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1, :, :3].copy()
    node = volume_of(view) if hasattr(view, "get_background_volume_id") else None
    if node is None:
        return ViewPicture(pixels, view_title(view))
    slice_to_ras = to_array(view.get_view_node().GetSliceToRAS())
    return ViewPicture(pixels, view_title(view), tuple(edge_letters(slice_to_ras)), slice_text(slice_to_ras, node))


def write_picture(path: Path, views: Sequence[ViewPicture], caption: str, rows: Sequence[Row]) -> None:
    """Write views, two in a row, above a caption and a legend of the results that are shown.

    Args:
        path: PNG to write.
        views: In the order of the page.
        caption: Line below the views.
        rows: Results.

    Raises:
        OutputError: If it cannot be written.
    """
    height = max(view.pixels.shape[0] for view in views)
    width = max(view.pixels.shape[1] for view in views)
    above = -(-len(views) // _COLUMNS) * (height + _GAP)
    font = ImageFont.load_default(14)
    legend = _legend([row for row in rows if row.id and row.visible], _COLUMNS * width, font)
    lines = 1 + max((line for line, *_ in legend), default=-1) + 1
    canvas = Image.new("RGB", (_COLUMNS * width + _GAP, above + _LINE * lines + 6))
    pen = ImageDraw.Draw(canvas)
    for number, view in enumerate(views):
        row, column = divmod(number, _COLUMNS)
        picture = Image.fromarray(view.pixels)
        _label(ImageDraw.Draw(picture), view, picture.size, font)
        canvas.paste(picture, (column * (width + _GAP), row * (height + _GAP)))
    pen.text((8, above + 3), _drawable(f"{caption}  {_NOTICE}"), "white", font)
    for line, left, text, color in legend:
        top = above + _LINE * (line + 1) + 3
        pen.rectangle((left, top + 3, left + 12, top + 15), fill=color)
        pen.text((left + 18, top), text, "white", font)
    with atomic_output(path) as part:
        canvas.save(part, format="PNG")


def _label(pen: ImageDraw.ImageDraw, view: ViewPicture, size: tuple[int, int], font: Any) -> None:
    width, height = size
    ink = {"fill": "white", "font": font, "stroke_width": 2, "stroke_fill": "black"}
    pen.text((8, 6), view.title, **ink)
    pen.text((width - 8, 6), view.position, anchor="ra", **ink)
    places = (
        (8, height / 2, "lm"),
        (width - 8, height / 2, "rm"),
        (width / 2, 6, "ma"),
        (width / 2, height - _RULER, "md"),
    )
    for letter, (x, y, anchor) in zip(view.edges, places, strict=False):
        pen.text((x, y), letter, anchor=anchor, **ink)


def _legend(rows: Sequence[Row], width: int, font: Any) -> list[tuple[int, int, str, str]]:
    """Return line, left edge in pixels, text and colour of each result, in lines of a width."""
    placed, line, left = [], 0, 8
    for row in rows:
        text = _drawable(f"{row.name} {row.note}")
        needed = 18 + int(font.getlength(text)) + 18
        if left > 8 and left + needed > width:
            line, left = line + 1, 8
        placed.append((line, left, text, row.color))
        left += needed
    return placed


def _drawable(text: str) -> str:
    """Return a text in the letters of Pillow's own font: without accents, other scripts as question marks."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode("ascii")
