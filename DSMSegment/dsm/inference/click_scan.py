"""Click segmentation of a volume, in windows whose size follows the object."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsm.core.boxes import Box, CroppedArray, bounding_box
from dsm.core.click import Click
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.inference.click_channels import WindowClick, click_channels
from dsm.inference.click_window import ClickWindow, soft_tissue_units
from dsm.inference.components import label_components
from dsm.inference.postprocess import NOTHING
from dsm.models.click_weights import find_refiner, load_refiner
from dsm.nn.click_refiner import ClickRefiner

_START_MM = 1.5
_GROWTH = 1.4
_COARSEST_MM = 10.0
_MOST_LOOKS = 8
_MOST_REPLAYED = 10  # clicks that are taken one after the other
_MARGIN = 2  # voxels of the window around what was found, else it is too small
_SMALL = 0.4  # of the window: what is smaller is looked at again finer
_FILLED = 0.6  # of the window that the object fills in that look


@dataclass(frozen=True, slots=True, eq=False)
class ClickResult:
    """Mask of the clicked object, on the grid of the input image.

    Args:
        mask: uint8, 1 inside; empty when nothing was found.
        volume_ml: Of the mask.
        confidence: Mean probability in the mask, in the window; 0 where it is empty.
        spacing_mm: Of the window of the last look.
        looks: Windows that were looked at for the last click.
        seconds: Time that the last click took.
    """

    mask: CroppedArray
    volume_ml: float
    confidence: float
    spacing_mm: float
    looks: int
    seconds: float


class Looker(Protocol):
    """Protocol of a predictor: window and clicks to logits."""

    @property
    def size(self) -> int:
        """Voxels along an edge of the windows."""
        ...

    @property
    def coarsest_mm(self) -> float:
        """Voxel size beyond which windows do not grow."""
        ...

    def look(self, image: Tensor, clicks: Sequence[WindowClick], *, previous: Tensor, text: Tensor) -> Tensor:
        """Logits of one window, see `ClickSegmenter.look`."""
        ...


class ClickSegmenter:
    """Click network with its weights and device.

    Args:
        net: In evaluation mode; it is copied, normalisations folded into convolutions.
    """

    def __init__(self, net: ClickRefiner) -> None:
        self.net = folded(net)
        self.window = net.config.window
        self.name = net.config.name

    @property
    def size(self) -> int:
        """Voxels along an edge of the windows."""
        return self.window

    @property
    def coarsest_mm(self) -> float:
        """Voxel size beyond which windows do not grow."""
        return _COARSEST_MM

    @classmethod
    def from_folder(cls, name_or_path: Path | str) -> ClickSegmenter:
        """Load a click network: a name such as `"clicks"`, or a folder.

        Raises:
            ModelNotFoundError: If there is none.
            WeightsError: If a file is damaged.
        """
        return cls(load_refiner(find_refiner(name_or_path))[0])

    def open(self, volume: Volume, *, text: CroppedArray | None = None) -> ClickScan:
        """Prepare a volume for clicks; nothing is encoded.

        Args:
            volume: CT or MR.
            text: What a text prompt found in it, on its grid.
        """
        return open_for_clicks(volume, self, text=text)

    @torch.inference_mode()
    def look(self, image: Tensor, clicks: Sequence[WindowClick], *, previous: Tensor, text: Tensor) -> Tensor:
        """Logits of one window `(i, j, k)`."""
        x = click_channels(image[None], [clicks], previous=previous[None], text=text[None])
        logits: Tensor = self.net(x.contiguous(memory_format=torch.channels_last_3d))
        return logits[0]


@dataclass(slots=True, eq=False)
class ClickScan:
    """Volume prepared for click prompts.

    What earlier clicks gave is kept, so that one more click costs one click, and taking it back costs nothing.

    Args:
        volume: The image.
        text: What a text prompt found; empty for none.
    """

    volume: Volume
    text: CroppedArray
    _segmenter: Looker = field(repr=False)
    _units: tuple[float, float] = field(repr=False)
    _known: dict[tuple[Click, ...], ClickResult] = field(default_factory=dict, repr=False)

    def segment(self, clicks: Sequence[Click]) -> ClickResult:
        """Segment the clicked object.

        Args:
            clicks: In their order; the first one inside.

        Raises:
            InputError: If there is no click inside, or one lies outside of the volume.
        """
        if not any(click.inside for click in clicks):
            raise InputError("No click is inside of the structure.", code="click", hint="Click on the structure first.")
        points = [self._point(click) for click in clicks]
        known = next((n for n in range(len(clicks), 0, -1) if tuple(clicks[:n]) in self._known), 0)
        first = 1 + next(row for row, click in enumerate(clicks) if click.inside)
        counts = list(range(max(known + 1, first), len(clicks) + 1))
        if len(counts) > _MOST_REPLAYED:  # a scribble
            counts = counts[-1:]
        result = self._known.get(tuple(clicks[:known]))
        for count in counts:
            result = self._one_more(clicks[:count], points[:count], result)
            self._known[tuple(clicks[:count])] = result
        assert result is not None  # noqa: S101  # known, or made above
        return result

    def _point(self, click: Click) -> tuple[float, float, float]:
        """View coordinate of a click."""
        orientation = Orientation.of(self.volume.affine)
        affine = orientation.affine_to_ras(self.volume.affine, self.volume.shape)
        i, j, k = (np.linalg.inv(affine) @ (*click.ras_mm, 1.0))[:3].tolist()
        shape = orientation.shape_to_ras(self.volume.shape)
        if any(not -0.5 <= value <= length - 0.5 for value, length in zip((i, j, k), shape, strict=True)):
            place = ", ".join(f"{value:.1f}" for value in click.ras_mm)
            raise InputError(
                f"The click at {place} mm lies outside of the volume.", code="click.outside", hint="Click in the image."
            )
        return i, j, k

    def _one_more(
        self, clicks: Sequence[Click], points: Sequence[tuple[float, float, float]], earlier: ClickResult | None
    ) -> ClickResult:
        """The mask after the last of some clicks, from the mask before it."""
        began = time.perf_counter()
        marks = [(point, click.inside) for point, click in zip(points, clicks, strict=True)]
        inner = np.array([point for point, is_inside in marks if is_inside])
        mask = earlier.mask if earlier else NOTHING
        known = mask if mask.array.any() else self.text if self._is_clicked(self.text, inner[-1]) else NOTHING
        center, spacing = self._place(known, inner)
        previous, looks, finer = mask, 0, False
        while True:
            window = ClickWindow.around(self.volume, center.tolist(), spacing_mm=spacing, size=self._segmenter.size)
            logits, found = self._look(window, marks, previous)
            looks += 1
            touches, extent = _fit(found, window)
            if looks >= _MOST_LOOKS:
                break
            if touches and not finer and spacing < self._segmenter.coarsest_mm:
                spacing = min(self._segmenter.coarsest_mm, spacing * _GROWTH)
            elif extent and extent < _SMALL * window.size and not finer and spacing > self._finest_mm():
                spacing = max(self._finest_mm(), spacing * extent / (_FILLED * window.size))
                finer = True
            else:
                break
            previous = window.to_input(torch.where(torch.from_numpy(found), logits, logits.clamp_max(-1)))
            center, _ = self._place(previous, inner)
        mask = window.to_input(torch.where(torch.from_numpy(found), logits, logits.clamp_max(-1)))
        voxels = int(np.count_nonzero(mask.array))
        return ClickResult(
            mask=CroppedArray(mask.array, mask.offset_ijk) if voxels else NOTHING,
            volume_ml=voxels * self.volume.voxel_volume_mm3 / 1000,
            confidence=float(logits.sigmoid()[torch.from_numpy(found)].mean()) if found.any() else 0.0,
            spacing_mm=spacing,
            looks=looks,
            seconds=time.perf_counter() - began,
        )

    def _finest_mm(self) -> float:
        return 0.5 * min(self.volume.spacing_mm)

    def _is_clicked(self, mask: CroppedArray, point: np.ndarray) -> bool:
        """Return whether a mask of the input grid contains a view coordinate."""
        if not mask.array.size:
            return False
        orientation = Orientation.of(self.volume.affine)
        box = orientation.box_to_ras(mask.box, self.volume.shape)
        voxel = tuple(round(p) - start for p, start in zip(point, box.start, strict=True))
        view = orientation.to_ras(mask.array)
        return all(0 <= v < n for v, n in zip(voxel, view.shape, strict=True)) and bool(view[voxel])

    def _place(self, mask: CroppedArray, inner: np.ndarray) -> tuple[np.ndarray, float]:
        """Middle (view coordinate) and spacing of a window for a mask and the clicks inside."""
        orientation = Orientation.of(self.volume.affine)
        voxel_mm = np.array([self.volume.spacing_mm[axis] for axis in orientation.axes])
        low, high = inner.min(axis=0), inner.max(axis=0)
        found = bounding_box(mask.array) if mask.array.size else None
        if found is not None:
            i, j, k = (o + s for o, s in zip(mask.offset_ijk, found.start, strict=True))
            here = Box((i, j, k), (i + found.size[0], j + found.size[1], k + found.size[2]))
            box = orientation.box_to_ras(here, self.volume.shape)
            low, high = np.minimum(low, box.start), np.maximum(high, np.array(box.stop) - 1)
        extent = float(((high - low) * voxel_mm).max())
        spacing = max(_START_MM if found is None else self._finest_mm(), extent / (_FILLED * self._segmenter.size))
        return (low + high) / 2, min(spacing, self._segmenter.coarsest_mm)

    def _look(
        self, window: ClickWindow, marks: Sequence[WindowClick], previous: CroppedArray
    ) -> tuple[Tensor, np.ndarray]:
        """Return logits of a window, and the clicked components of the mask."""
        low, high = self._units
        image = (window.sample(self.volume.array) - low) / (high - low)
        clicks = [(window.from_view(point), is_inside) for point, is_inside in marks]
        logits = self._segmenter.look(
            image, clicks, previous=window.sample_mask(previous), text=window.sample_mask(self.text)
        )
        found = ((logits > 0) & window.inside()).numpy()
        return logits, clicked_parts(found, [point for point, is_inside in clicks if is_inside])


def open_for_clicks(volume: Volume, looker: Looker, *, text: CroppedArray | None = None) -> ClickScan:
    """Prepare a volume for clicks with `looker` as predictor; see `ClickSegmenter.open`."""
    return ClickScan(volume=volume, text=text or NOTHING, _segmenter=looker, _units=soft_tissue_units(volume))


def clicked_parts(found: np.ndarray, points: Sequence[Sequence[float]]) -> np.ndarray:
    """Keep the connected components within two voxels of a click; all if there is none."""
    parts, count = label_components(found)
    if count < 2:
        return found
    kept = set()
    for point in points:
        near = tuple(
            slice(min(max(0, round(p) - 2), n - 1), max(1, round(p) + 3))
            for p, n in zip(point, found.shape, strict=True)
        )
        kept |= set(np.unique(parts[near]).tolist())
    kept.discard(0)
    return np.isin(parts, sorted(kept)) if kept else found


def _fit(found: np.ndarray, window: ClickWindow) -> tuple[bool, int]:
    """Return whether the mask comes too near to a face of the window inside the volume, and its longest edge."""
    box = bounding_box(found)
    if box is None:
        return False, 0
    touches = False
    for axis, (start, stop) in enumerate(zip(box.start, box.stop, strict=True)):
        low = window.origin[axis]
        high = low + window.step[axis] * (window.size - 1)
        touches |= start < _MARGIN and low > 0
        touches |= stop > window.size - _MARGIN and high < window.view_shape[axis] - 1
    return touches, max(box.size)


def folded(net: ClickRefiner) -> ClickRefiner:
    """A copy whose normalisations are folded into the convolutions before them: the same results to rounding."""
    net = copy.deepcopy(net).eval().requires_grad_(requires_grad=False)
    pairs = (("conv1", "norm1"), ("conv2", "norm2"), ("project", "norm"), ("0", "1"))
    for module in net.modules():
        parts: dict[str, Any] = dict(module.named_children())
        for conv, norm in pairs:
            if isinstance(parts.get(conv), nn.Conv3d) and isinstance(parts.get(norm), nn.BatchNorm3d):
                setattr(module, conv, fuse_conv_bn_eval(parts[conv], parts[norm]))
                setattr(module, norm, nn.Identity())
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks it
