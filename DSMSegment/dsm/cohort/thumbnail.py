"""Thumbnails of cases, and overview pages of them, for quality control at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.io.atomic import atomic_output
from dsm.io.segment_record import SegmentRecord

_PANEL = 220  # pixels
_CAPTION = 44
_COLUMNS = 4
_ROWS = 6
_CT_WINDOW_HU = (-160, 240)


def draw_thumbnail(path: Path, volume: Volume, records: Sequence[SegmentRecord], caption: Sequence[str]) -> None:
    """Draw the axial and the coronal slice with most of the segments, their outlines, and two lines of text.

    Args:
        path: PNG to write.
        volume: The scan.
        records: Its segments.
        caption: At most two lines.

    Raises:
        OutputError: If it cannot be written.
    """
    orientation = Orientation.of(volume.affine)
    image = orientation.to_ras(volume.array)
    spacing = np.linalg.norm(orientation.affine_to_ras(volume.affine, volume.shape)[:3, :3], axis=0)
    masks = [(orientation.to_ras(record.mask.paste_into(volume.shape)) != 0, record.color) for record in records]
    low, high = _CT_WINDOW_HU if volume.modality == "CT" else np.percentile(image[::4, ::4, ::2], [1, 99])
    canvas = Image.new("RGB", (2 * _PANEL, _PANEL + _CAPTION))
    for number, axis in enumerate((2, 1)):
        panel = _panel(image, masks, spacing, axis, (float(low), float(high)))
        left = number * _PANEL + (_PANEL - panel.width) // 2
        canvas.paste(panel, (left, (_PANEL - panel.height) // 2))
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(caption[:2]):
        # Pillow's own font has Latin letters only.
        pen.text((6, _PANEL + 4 + 18 * row), line.encode("latin-1", "replace").decode("latin-1"), fill="white")
    with atomic_output(path) as part:
        canvas.save(part, format="PNG")


def draw_pages(folder: Path, thumbnails: Sequence[Path]) -> list[Path]:
    """Put thumbnails on pages `overview-01.png` and so on in `folder`; pages of an earlier run are removed.

    Returns:
        The pages.

    Raises:
        OutputError: If one cannot be written.
    """
    a_page = _COLUMNS * _ROWS
    pages = []
    for number, start in enumerate(range(0, len(thumbnails), a_page), start=1):
        chosen = thumbnails[start : start + a_page]
        width, height = 2 * _PANEL, _PANEL + _CAPTION
        columns, rows = min(_COLUMNS, len(chosen)), -(-len(chosen) // _COLUMNS)
        canvas = Image.new("RGB", (columns * width, rows * height))
        for place, path in enumerate(chosen):
            with Image.open(path) as picture:
                canvas.paste(picture, (place % _COLUMNS * width, place // _COLUMNS * height))
        page = folder / f"overview-{number:02d}.png"
        with atomic_output(page) as part:
            canvas.save(part, format="PNG")
        pages.append(page)
    for old in set(folder.glob("overview-*.png")) - set(pages):
        old.unlink()
    return pages


def _panel(
    image: np.ndarray,
    masks: Sequence[tuple[np.ndarray, tuple[int, int, int]]],
    spacing: np.ndarray,
    axis: int,
    window: tuple[float, float],
) -> Image.Image:
    """One slice across `axis` of arrays in RAS order, seen as radiologists do: the patient's right on the left."""
    others = tuple(other for other in range(3) if other != axis)
    area = sum((mask.sum(axis=others) for mask, _ in masks), np.zeros(image.shape[axis], int))
    at = int(np.argmax(area)) if area.any() else image.shape[axis] // 2
    low, high = window
    gray = np.clip((image.take(at, axis).astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255
    rgb = np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)
    for mask, color in masks:
        rgb[_outline(mask.take(at, axis))] = color
    # Rows downwards from anterior or superior, columns from the right of the patient.
    picture = Image.fromarray(np.ascontiguousarray(rgb[::-1, ::-1].swapaxes(0, 1)))
    size = np.array(rgb.shape[:2]) * spacing[list(others)]
    width, height = np.maximum(1, np.floor(size * _PANEL / size.max())).astype(int)
    return picture.resize((int(width), int(height)), Image.Resampling.BILINEAR)


def _outline(mask: np.ndarray) -> np.ndarray:
    inside = np.pad(mask, 1)
    core = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.asarray(mask & ~core)
