"""A picture of a run: three planes with the contours of the segments, and a table of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no screen is needed

import numpy as np
import slicer
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dsm.core.boxes import bounding_box
from dsm.core.name_status import result_label
from dsm.core.orientation import Orientation
from dsm.io.atomic import atomic_output
from DSMSegmentLib import OutcomeStatus, SegmentationJob, SegmentOutcome, volumeFromNode
from DSMSegmentLib.scene.segment_display import shownColor

# The body with a little air around it; outside of the field of view, scanners write less than that.
_AIR_HU = -500

_BACKGROUND, _TEXT, _DIM = "#101418", "#e8ecf1", "#8b96a5"


@dataclass(frozen=True)
class View:
    """One plane: its name, the axis of the RAS volume it cuts, and the letters at left and right of the picture."""

    name: str
    axis: int
    sides: tuple[str, str]


# As a radiologist looks at them: the patient's right is at the left, front is up in axial and left in sagittal.
_VIEWS = (View("Axial", 2, ("R", "L")), View("Coronal", 1, ("R", "L")), View("Sagittal", 0, ("A", "P")))


@dataclass(frozen=True, eq=False)
class Layer:
    """A segment as read back from the scene: its mask in RAS order, and its colour."""

    mask: np.ndarray
    color: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Scan:
    """Data of the three planes, cropped to the body: image in RAS order, voxel size, and segments."""

    image: np.ndarray
    spacing_mm: np.ndarray
    layers: Sequence[Layer]


def draw_overview(
    volume_node: Any, job: SegmentationJob, path: Path, *, caption: str, window: tuple[float, float]
) -> None:
    """Draw the picture.

    Args:
        volume_node: That was segmented.
        job: That has ended; its segments are read back from the scene.
        path: PNG to write.
        caption: One line above the planes.
        window: Width and level in HU.
    """
    scan = _scan(volume_node, job)
    sizes = [np.delete(np.array(scan.image.shape) * scan.spacing_mm, view.axis) for view in _VIEWS]
    figure = plt.figure(figsize=(15, 8.2), facecolor=_BACKGROUND)
    grid = figure.add_gridspec(
        2,
        3,
        width_ratios=[width / height for width, height in sizes],
        height_ratios=[3, 1.55],
        hspace=0.08,
        wspace=0.04,
        left=0.015,
        right=0.985,
        top=0.91,
        bottom=0.02,
    )
    for column, view in enumerate(_VIEWS):
        _draw_plane(figure.add_subplot(grid[0, column]), view, scan, window)
    _draw_table(figure.add_subplot(grid[1, :]), job)
    figure.text(0.015, 0.948, caption, color=_TEXT, fontsize=13, weight="bold")
    with atomic_output(path) as part:
        figure.savefig(part, dpi=100, facecolor=_BACKGROUND)
    plt.close(figure)


def _scan(volume_node: Any, job: SegmentationJob) -> Scan:
    volume = volumeFromNode(volume_node)
    orientation = Orientation.of(volume.affine)
    image = orientation.to_ras(volume.array)
    body = bounding_box(image > _AIR_HU)
    cut = body.slices if body is not None else ...
    layers = []
    for outcome in job.outcomes:
        if outcome.status is OutcomeStatus.WRITTEN:
            array = slicer.util.arrayFromSegmentBinaryLabelmap(job.segmentationNode, outcome.segmentId, volume_node)
            color = _color_of(job, outcome)
            layers.append(Layer(orientation.to_ras(array.transpose(2, 1, 0))[cut], color))
    return Scan(image[cut], np.array(volume.spacing_mm)[list(orientation.axes)], layers)


def _color_of(job: SegmentationJob, outcome: SegmentOutcome) -> tuple[float, float, float]:
    """Return the colour in the views, which differs most from those of the other segments."""
    red, green, blue = shownColor(job.segmentationNode, outcome.segmentId)
    return red / 255, green / 255, blue / 255


def _best_plane(scan: Scan, axis: int) -> int:
    """Choose the plane that shows most of most segments; the middle one where there are none."""
    shown = np.zeros(scan.image.shape[axis])
    for layer in scan.layers:
        area = np.count_nonzero(layer.mask, axis=tuple({0, 1, 2} - {axis}))
        shown += np.sqrt(area / max(area.max(), 1))  # the root: a little of two is better than all of one
    return int(shown.argmax()) if shown.any() else len(shown) // 2


def _draw_plane(axes: Axes, view: View, scan: Scan, window: tuple[float, float]) -> None:
    width, level = window
    plane = _best_plane(scan, view.axis)
    horizontal, vertical = np.delete(scan.spacing_mm, view.axis)
    pixels = _as_seen(np.take(scan.image, plane, axis=view.axis))
    x = (np.arange(pixels.shape[1]) + 0.5) * horizontal
    y = (np.arange(pixels.shape[0]) + 0.5) * vertical
    axes.imshow(
        pixels,
        cmap="gray",
        vmin=level - width / 2,
        vmax=level + width / 2,
        extent=(0, len(x) * horizontal, 0, len(y) * vertical),
        interpolation="bicubic",
        origin="lower",
    )
    for layer in scan.layers:
        mask = _as_seen(np.take(layer.mask, plane, axis=view.axis)).astype(float)
        if mask.any():
            axes.contourf(x, y, mask, levels=[0.5, 1.5], colors=[layer.color], alpha=0.28)
            axes.contour(x, y, mask, levels=[0.5], colors=[layer.color], linewidths=1.8)
    axes.set_axis_off()
    axes.set_aspect("equal")
    style = {"color": _TEXT, "fontsize": 12, "transform": axes.transAxes}
    axes.text(0.02, 0.97, view.name, weight="bold", va="top", **style)
    axes.text(0.02, 0.03, view.sides[0], **style)
    axes.text(0.98, 0.03, view.sides[1], ha="right", **style)


def _as_seen(plane: np.ndarray) -> np.ndarray:
    """Turn a plane of a RAS volume into rows from below and columns from the left, as the view shows it."""
    return plane.T[:, ::-1]


def label_of(outcome: SegmentOutcome) -> str:
    """Return the label of a result, as the panel shows it."""
    found = outcome.status is OutcomeStatus.WRITTEN
    return str(result_label(outcome.source, found=found, warnings=outcome.warnings))


def _draw_table(axes: Axes, job: SegmentationJob) -> None:
    """Two columns of rows: colour, prompt, result, volume, score, seconds."""
    axes.set_axis_off()
    axes.set_xlim(0, 2)
    rows = max(4, -(-len(job.outcomes) // 2))
    axes.set_ylim(rows + 0.6, -0.9)
    heads = (
        ("prompt", 0.06, "left"),
        ("result", 0.33, "left"),
        ("volume ml", 0.66, "right"),
        ("score", 0.78, "right"),
        ("seconds", 0.92, "right"),
    )
    for half in range(2 if len(job.outcomes) > rows else 1):
        for text, x, side in heads:
            axes.text(half + x, -0.35, text, color=_DIM, fontsize=11, ha=side, va="center")
        axes.plot([half + 0.02, half + 0.92], [0.1, 0.1], color="#2c3540", linewidth=1)
    for number, outcome in enumerate(job.outcomes):
        half, row = divmod(number, rows)
        found = outcome.status is OutcomeStatus.WRITTEN
        y = row + 0.6
        if found:
            color = _color_of(job, outcome)
            axes.add_patch(Rectangle((half + 0.02, y - 0.26), 0.022, 0.52, color=color))
        cells = (
            outcome.prompt.name,
            label_of(outcome),
            f"{outcome.volumeMl:.1f}" if found else "–",
            "–" if outcome.score is None else f"{outcome.score:.2f}",
            f"{outcome.seconds:.2f}",
        )
        for text, (_, x, side) in zip(cells, heads, strict=True):
            axes.text(half + x, y, text, color=_TEXT if found else _DIM, fontsize=12.5, ha=side, va="center")
