"""Click segmentation of a volume, in windows whose size follows the object."""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsm.core.boxes import CroppedArray, bounding_box
from dsm.core.click import Click, check_in_volume, check_inside
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.click_channels import WindowClick, click_channels
from dsm.inference.click_window import ClickWindow, soft_tissue_units
from dsm.inference.components import label_components
from dsm.inference.expected_volume import surprise
from dsm.inference.postprocess import NOTHING
from dsm.models.click_weights import find_refiner, load_refiner
from dsm.nn.click_refiner import ClickRefiner

_START_MM = 1.5
# Voxel sizes of the looks at a new object, of which the most plausible one counts: a node of 5 mm to a mass of 15 cm.
_FIRST_MM = (_START_MM, 2.2, 3.2, 4.8)
_UNDECIDED = math.log(0.8 / 0.2)  # logit: probabilities of 0.2 to 0.8
_GROWTH = 1.4
_COARSEST_MM = 10.0
_MOST_LOOKS = 8
_MOST_REPLAYED = 10  # clicks that are taken one after the other
_MOST_KEPT = 64  # masks that earlier clicks gave, used last; each of several lesions has its own
_MARGIN = 2  # voxels of the window around what was found, else it is too small
_SMALL = 0.4  # of the window: what is smaller is looked at again finer
_FILLED = 0.6  # of the window that the object fills in that look
_FINE_MM = 0.65  # voxel size of the last look that is fine enough
_PATCH_MM = 5.0  # around a click that the network does not agree with
_DETAIL = 2  # how much finer the last look at a large object is, in as many more voxels


@dataclass(frozen=True, slots=True, eq=False)
class ClickResult:
    """Mask of the clicked object, on the grid of the input image.

    Args:
        mask: uint8, 1 inside; empty when nothing was found.
        volume_ml: Of the mask.
        spacing_mm: Of the window of the last look.
        looks: Windows that were looked at for the last click.
        seconds: Time that the last click took.
    """

    mask: CroppedArray
    volume_ml: float
    spacing_mm: float
    looks: int
    seconds: float


class WindowPredictor(Protocol):
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
        """Return the logits of one window, see `ClickSegmenter.look`."""
        ...


class ClickSegmenter:
    """Click network with its weights and device.

    Args:
        net: In evaluation mode; it is copied, normalisations folded into convolutions.
    """

    def __init__(self, net: ClickRefiner) -> None:
        self.net = folded(net)
        self.name = net.config.name

    @property
    def size(self) -> int:
        """Voxels along an edge of the windows."""
        return self.net.config.window

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

    def open(self, volume: Volume, *, text: CroppedArray | None = None, expected_ml: float | None = None) -> ClickScan:
        """Prepare a volume for clicks; nothing is encoded.

        Args:
            volume: CT or MR.
            text: What a text prompt found in it, on its grid.
            expected_ml: Volume that the object is expected to have (`dsm.inference.expected_volume`).
        """
        return ClickScan.of(volume, self, text=text, expected_ml=expected_ml)

    @torch.inference_mode()
    def look(self, image: Tensor, clicks: Sequence[WindowClick], *, previous: Tensor, text: Tensor) -> Tensor:
        """Return the logits of one window `(i, j, k)`.

        Args:
            image: `(i, j, k)`, 0 to 1 over the soft tissue window (`soft_tissue_units`).
            clicks: In voxels of the window, with whether they are inside of the object.
            previous: Probability of the mask so far, same shape.
            text: Mask of a text prompt, same shape.
        """
        x = click_channels(image[None], [clicks], previous=previous[None], text=text[None])
        logits: Tensor = self.net(x.contiguous(memory_format=torch.channels_last_3d))
        return logits[0]


@dataclass(slots=True, eq=False)
class ClickScan:
    """Volume prepared for click prompts.

    The masks of the last 64 lists of clicks are kept, so that one more click costs one click, and taking it back costs
    nothing.

    Args:
        volume: The image.
        text: What a text prompt found; empty for none.
        expected_ml: Volume that the object is expected to have; None if nothing is known.
    """

    volume: Volume
    text: CroppedArray
    expected_ml: float | None
    _predictor: WindowPredictor = field(repr=False)
    _units: tuple[float, float] = field(repr=False)
    _known: OrderedDict[tuple[Click, ...], ClickResult] = field(default_factory=OrderedDict, repr=False)

    @classmethod
    def of(
        cls,
        volume: Volume,
        predictor: WindowPredictor,
        *,
        text: CroppedArray | None = None,
        expected_ml: float | None = None,
        units: tuple[float, float] | None = None,
    ) -> ClickScan:
        """Prepare a volume for clicks.

        Args:
            volume: CT or MR.
            predictor: Of the logits of windows, such as `ClickSegmenter`.
            text: Mask of a text prompt, on its grid.
            expected_ml: Volume that the object is expected to have.
            units: Intensities that become 0 and 1 (`soft_tissue_units`); measured by default.
        """
        return cls(volume, text or NOTHING, expected_ml, predictor, units or soft_tissue_units(volume))

    def segment(self, clicks: Sequence[Click], *, on_look: Callable[[], None] = lambda: None) -> ClickResult:
        """Segment the clicked object.

        Args:
            clicks: In their order; at least one is inside where there is no mask to correct.
            on_look: Called before each look at a window; may raise `JobCancelled`.

        Raises:
            InputError: If none of these is inside, or one lies outside of the volume.
        """
        corrects = bool(self.text.array.any())
        if not corrects:
            check_inside(clicks)
        check_in_volume(clicks, self.volume)
        points = [self._point(click) for click in clicks]
        known = next((n for n in range(len(clicks), 0, -1) if tuple(clicks[:n]) in self._known), 0)
        first = 1 if corrects else 1 + next(row for row, click in enumerate(clicks) if click.inside)
        if known:
            self._known.move_to_end(tuple(clicks[:known]))
        counts = list(range(max(known + 1, first), len(clicks) + 1))
        if len(counts) > _MOST_REPLAYED and not corrects:  # a scribble; corrections are one by one
            counts = counts[-1:]
        result = self._known.get(tuple(clicks[:known]))
        for count in counts:
            result = self._one_more(clicks[:count], points[:count], result, on_look)
            self._keep(tuple(clicks[:count]), result)
        assert result is not None  # noqa: S101  # known, or made above
        return result

    def _point(self, click: Click) -> tuple[float, float, float]:
        """Return the view coordinate of a click."""
        orientation = Orientation.of(self.volume.affine)
        affine = orientation.affine_to_ras(self.volume.affine, self.volume.shape)
        i, j, k = (np.linalg.inv(affine) @ (*click.ras_mm, 1.0))[:3].tolist()
        return i, j, k

    def _keep(self, clicks: tuple[Click, ...], result: ClickResult) -> None:
        self._known[clicks] = result
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)

    def _one_more(
        self,
        clicks: Sequence[Click],
        points: Sequence[tuple[float, float, float]],
        earlier: ClickResult | None,
        on_look: Callable[[], None],
    ) -> ClickResult:
        """Return the mask after the last of some clicks, from the mask before it."""
        began = time.perf_counter()
        marks = [(point, click.inside) for point, click in zip(points, clicks, strict=True)]
        if self.text.array.any():
            mask, window, looks = self._correct(marks, earlier.mask if earlier else self.text, on_look)
        else:
            mask, window, looks = self._find(marks, earlier.mask if earlier else NOTHING, on_look)
        mask = _tight(mask) if mask.num_voxels else NOTHING
        return ClickResult(
            mask=mask,
            volume_ml=self.volume.ml_of(mask.num_voxels),
            spacing_mm=window.spacing_mm,
            looks=looks,
            seconds=time.perf_counter() - began,
        )

    def _find(
        self, marks: Sequence[WindowClick], before: CroppedArray, on_look: Callable[[], None]
    ) -> tuple[CroppedArray, ClickWindow, int]:
        """Segment the clicked object: its mask, the window of the last look, and the number of looks."""
        inner = np.array([point for point, is_inside in marks if is_inside])
        center, spacing = self._place(before, inner)
        previous, looks, finer = before, 0, False
        scales = [] if before.array.any() else [mm for mm in _FIRST_MM if mm >= spacing]
        while True:
            tried = []
            for mm in scales or [spacing]:
                on_look()
                window = self._window(center.tolist(), mm)
                tried.append((window, *self._look(window, marks, previous)))
            window, logits, found = min(tried, key=self._implausibility)
            spacing = window.spacing_mm
            looks, scales = looks + 1, []
            mask = _mask_of(window, logits, found)
            touches, extent = _fit(found, window)
            if looks >= _MOST_LOOKS:
                break
            if touches and not finer and spacing < self._predictor.coarsest_mm:
                spacing = min(self._predictor.coarsest_mm, spacing * _GROWTH)
                previous = before  # what ends at the faces of a window that is too small is no mask to correct
            elif extent and extent < _SMALL * window.size and not finer and spacing > self._finest_mm():
                spacing = max(self._finest_mm(), spacing * extent / (_FILLED * window.size))
                finer, previous = True, mask
            else:
                break
            center, _ = self._place(mask, inner)
        if found.any() and self._is_coarse(spacing):
            on_look()
            window = self._window(center.tolist(), spacing, detail=_DETAIL)
            logits, found = self._look(window, marks, mask)
            looks += 1
            mask = _mask_of(window, logits, found)
        return mask, window, looks

    def _implausibility(self, look: tuple[ClickWindow, Tensor, np.ndarray]) -> float:
        """Return the undecided voxels of a window per voxel of the object, times the surprise at its volume.

        Many voxels are undecided where the object is too small or too large for the window.
        """
        window, logits, found = look
        count = int(np.count_nonzero(found))
        if not count:
            return math.inf
        undecided = int((logits.abs() < _UNDECIDED).sum())
        return undecided / count * surprise(count * window.voxel_ml, self.expected_ml)

    def _correct(
        self, marks: Sequence[WindowClick], before: CroppedArray, on_look: Callable[[], None]
    ) -> tuple[CroppedArray, ClickWindow, int]:
        """Change a mask where the last click contradicts it: the connected error at the click, and nothing else."""
        point, is_inside = marks[-1]
        spacing, looks = max(_START_MM, self._finest_mm()), 0
        while True:
            on_look()
            window = self._window(point, spacing)
            logits, error = self._error(window, marks, before)
            looks += 1
            touches, _ = _fit(error, window)
            if not touches or looks >= _MOST_LOOKS or spacing >= self._predictor.coarsest_mm:
                break
            spacing = min(self._predictor.coarsest_mm, spacing * _GROWTH)
        if error.any() and self._is_coarse(spacing):
            on_look()
            window = self._window(point, spacing, detail=_DETAIL)
            logits, error = self._error(window, marks, before)
            looks += 1
        change = _mask_of(window, logits, error).union(self._voxel(point))
        return (before.union(change) if is_inside else before.difference(change)), window, looks

    def _error(
        self, window: ClickWindow, marks: Sequence[WindowClick], before: CroppedArray
    ) -> tuple[Tensor, np.ndarray]:
        """Return how sure the network is that voxels are wrong (logits), and the connected error at the last click.

        Where the network does not agree with the click, or the error would be larger than the mask, as a leak is, only
        the most likely voxels within a few millimetres of the click are the error.
        """
        near = [mark for mark in marks if _is_within(window, mark[0])]
        point, is_inside = window.from_view(near[-1][0]), near[-1][1]
        previous = window.sample_mask(before)
        logits = (1 if is_inside else -1) * self._logits(window, near, previous)
        is_wrong = ((previous > 0.5) != is_inside) & window.inside()
        error = parts_at(((logits > 0) & is_wrong).numpy(), [point])
        if 0 < np.count_nonzero(error) * window.voxel_ml <= self.volume.ml_of(before.num_voxels):
            return logits, error
        voxel = tuple(min(max(round(p), 0), n - 1) for p, n in zip(point, logits.shape, strict=True))
        is_alike = logits >= logits[voxel].clamp_max(0)
        patch = _ball(window.size, point, _PATCH_MM / window.spacing_mm)
        return torch.ones_like(logits), parts_at((is_alike & is_wrong).numpy() & patch, [point])

    def _voxel(self, point: Sequence[float]) -> CroppedArray:
        """Return the mask of the voxel at a view coordinate."""
        orientation = Orientation.of(self.volume.affine)
        i, j, k = (
            min(max(round(p), 0), self.volume.shape[axis] - 1) for p, axis in zip(point, orientation.axes, strict=True)
        )
        voxel = CroppedArray(np.ones((1, 1, 1), np.uint8), (i, j, k))
        return orientation.crop_from_ras(voxel, self.volume.shape)

    def _window(self, center: Sequence[float], spacing_mm: float, *, detail: int = 1) -> ClickWindow:
        return ClickWindow.around(
            self.volume, center, spacing_mm=spacing_mm / detail, size=detail * self._predictor.size
        )

    def _is_coarse(self, spacing_mm: float) -> bool:
        """Return whether a mask found with this voxel size gains by a finer look."""
        return spacing_mm > _DETAIL * max(_FINE_MM, self._finest_mm())

    def _finest_mm(self) -> float:
        return 0.5 * min(self.volume.spacing_mm)

    def _place(self, mask: CroppedArray, inner: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the middle (view coordinate) and spacing of a window for a mask and the clicks inside."""
        orientation = Orientation.of(self.volume.affine)
        voxel_mm = np.array([self.volume.spacing_mm[axis] for axis in orientation.axes])
        low, high = inner.min(axis=0), inner.max(axis=0)
        found = CroppedArray.from_mask(mask.array, mask.offset_ijk).box
        if not found.is_empty:
            box = orientation.box_to_ras(found, self.volume.shape)
            low, high = np.minimum(low, box.start), np.maximum(high, np.array(box.stop) - 1)
        extent = float(((high - low) * voxel_mm).max())
        least_mm = _START_MM if found.is_empty else self._finest_mm()
        spacing = max(least_mm, extent / (_FILLED * self._predictor.size))
        return (low + high) / 2, min(spacing, self._predictor.coarsest_mm)

    def _look(
        self, window: ClickWindow, marks: Sequence[WindowClick], previous: CroppedArray
    ) -> tuple[Tensor, np.ndarray]:
        """Return logits of a window, and the clicked components of the mask."""
        logits = self._logits(window, marks, window.sample_mask(previous))
        found = ((logits > 0) & window.inside()).numpy()
        return logits, clicked_parts(found, [window.from_view(point) for point, is_inside in marks if is_inside])

    def _logits(self, window: ClickWindow, marks: Sequence[WindowClick], previous: Tensor) -> Tensor:
        low, high = self._units
        return self._predictor.look(
            (window.sample(self.volume.array) - low) / (high - low),
            [(window.from_view(point), is_inside) for point, is_inside in marks],
            previous=previous,
            text=window.sample_mask(self.text),
        )


def clicked_parts(found: np.ndarray, points: Sequence[Sequence[float]]) -> np.ndarray:
    """Keep the connected components within two voxels of a click; all if there is none."""
    kept = parts_at(found, points)
    return kept if kept.any() else found


def parts_at(found: np.ndarray, points: Sequence[Sequence[float]]) -> np.ndarray:
    """Keep the connected components within two voxels of a point."""
    parts, _ = label_components(found)
    kept = set()
    for point in points:
        near = tuple(
            slice(min(max(0, round(p) - 2), n - 1), max(1, round(p) + 3))
            for p, n in zip(point, found.shape, strict=True)
        )
        kept |= set(np.unique(parts[near]).tolist())
    return np.isin(parts, sorted(kept - {0}))


def _is_within(window: ClickWindow, point: Sequence[float]) -> bool:
    return all(-0.5 <= p <= window.size - 0.5 for p in window.from_view(point))


def _ball(size: int, middle: Sequence[float], radius: float) -> np.ndarray:
    """Mask of the voxels of a window within a radius of a point, in voxels."""
    i, j, k = (np.arange(size) - m for m in middle)
    found: np.ndarray = i[:, None, None] ** 2 + j[None, :, None] ** 2 + k[None, None, :] ** 2 <= radius**2
    return found


def _mask_of(window: ClickWindow, logits: Tensor, found: np.ndarray) -> CroppedArray:
    """Return the mask of a look on the input grid, without what is outside of `found`."""
    return window.to_input(torch.where(torch.from_numpy(found), logits, logits.clamp_max(-1)))


def _tight(mask: CroppedArray) -> CroppedArray:
    """Crop a mask to what is inside."""
    crop = CroppedArray.from_mask(mask.array, mask.offset_ijk)
    return CroppedArray(crop.array.copy(), crop.offset_ijk)


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
    """Return a copy whose normalisations are folded into the convolutions before them: same results to rounding."""
    net = copy.deepcopy(net).eval().requires_grad_(requires_grad=False)
    pairs = (("conv1", "norm1"), ("conv2", "norm2"), ("project", "norm"), ("0", "1"))
    for module in net.modules():
        parts: dict[str, Any] = dict(module.named_children())
        for conv, norm in pairs:
            if isinstance(parts.get(conv), nn.Conv3d) and isinstance(parts.get(norm), nn.BatchNorm3d):
                setattr(module, conv, fuse_conv_bn_eval(parts[conv], parts[norm]))
                setattr(module, norm, nn.Identity())
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks it
