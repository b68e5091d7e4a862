"""Montage of a case: labels as lines, masks as filled colours, each name in its largest slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dsm.core.boxes import CroppedArray
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume

_COLUMNS = 5


def draw_montage(
    volume: Volume, masks: Mapping[str, tuple[CroppedArray, CroppedArray]], path: Path, *, inches: float = 3
) -> None:
    """Draw one axial slice a name.

    Args:
        volume: The image.
        masks: {name: (truth, found)} on its grid.
        path: PNG to write; its folder is made.
        inches: Width of one slice, 70 pixels each.
    """
    orientation = Orientation.of(volume.affine)
    image = orientation.to_ras(volume.array)
    low, high = (-125, 275) if volume.modality == "CT" else np.percentile(image, [1, 99])
    i_mm, j_mm, _ = np.linalg.norm(orientation.affine_to_ras(volume.affine, volume.shape)[:3, :3], axis=0)
    rows = -(-len(masks) // _COLUMNS)
    figure = Figure(figsize=(inches * min(_COLUMNS, len(masks)), inches * rows), layout="tight", facecolor="black")
    FigureCanvasAgg(figure)
    for index, (name, pair) in enumerate(masks.items()):
        truth, found = (orientation.to_ras(mask.paste_into(volume.shape)) != 0 for mask in pair)
        k = int(np.argmax((truth if truth.any() else found).sum(axis=(0, 1))))
        axes = figure.add_subplot(rows, min(_COLUMNS, len(masks)), index + 1)
        # Radiological view: the patient's right on the left of the picture.
        axes.imshow(image[::-1, :, k].T, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=j_mm / i_mm)
        if found[..., k].any():
            color = np.zeros((*found.shape[1::-1], 4))
            color[found[::-1, :, k].T] = (*colormaps["tab20"](index % 20)[:3], 0.5)
            axes.imshow(color, origin="lower", aspect=j_mm / i_mm)
        if truth[..., k].any():
            axes.contour(truth[::-1, :, k].T, levels=[0.5], colors="yellow", linewidths=0.8)
        axes.set_title(f"{name}  {_dice(truth, found):.2f}", color="white", fontsize=9)
        axes.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, facecolor="black")


def _dice(truth: np.ndarray, found: np.ndarray) -> float:
    total = np.count_nonzero(truth) + np.count_nonzero(found)
    return 2 * np.count_nonzero(truth & found) / total if total else 1.0
