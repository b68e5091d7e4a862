"""Plausibility checks of a volume: kind of content, intensities, field of view."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsm.core.input_note import InputNote
from dsm.core.volume import Volume
from dsm.errors import GeometryError, InputError

# A whole-body scan of a tall adult is 2 m long.
_MAX_EXTENT_MM = 2500.0
# Smaller than any field of view of a body part; spacings that are ten times too small end here.
_MIN_EXTENT_MM = 30.0

_MAX_SAMPLES = 1_000_000
# Distinct values of a label map; TotalSegmentator has 117 classes.
_MAX_LABELS = 160
# No scan has so few different values.
_MIN_VALUES = 16
# Share of neighbouring voxels with equal values: at most 0.39 in scans of 20 data sets reduced to 101 grey values.
_FLAT_SHARE = 0.6

_MIN_NEGATIVE_SHARE = 0.001
_MAX_METAL_HU, _MAX_BRIGHT_SHARE = 5000, 0.01
_MIN_SPAN_HU = 50
_OFFSET_HU, _TISSUE_HU, _MIN_TISSUE_SHARE = 1024, 200, 0.2
_MIN_AIR_SHARE = 0.05
_BACKGROUND, _BONE_HU = 5, 500
# Of what is denser than lung; metal and contrast are far less.
_CORTICAL_HU, _LUNG_TISSUE_HU, _MOST_DENSE = 700, -300, 0.5
_DARKEST = 1.0  # percentile
_DENSE_HU = 100
# Between lung and fat: the darkest percentile of scans of 10 data sets lies above or below.
_LUNG_HU, _FAT_HU = -800, -250

_TO_HU = (
    "Convert the values to Hounsfield units (slope and intercept of the scanner), or have the image taken as MR, whose "
    "values are scaled by their own range."
)


def check_scan(volume: Volume) -> tuple[InputNote, ...]:
    """Check that a volume is plausible for its modality.

    The whole histogram decides (of every n-th voxel in large volumes), never a single voxel.

    Args:
        volume: What is about to be segmented.

    Returns:
        What is unusual and was accepted.

    Raises:
        InputError: If it is a label map, or a CT whose values cannot be Hounsfield units.
        GeometryError: If no body is as large as its field of view.
    """
    _check_extent(volume)
    values = _sample(volume.array)
    _check_kind(volume, values)
    if volume.modality == "CT":
        _check_hounsfield(volume.name, values)
    return tuple(_unusual(volume, values))


def _check_extent(volume: Volume) -> None:
    extent = [size * mm for size, mm in zip(volume.shape, volume.spacing_mm, strict=True)]
    if max(extent) > _MAX_EXTENT_MM:
        shown = " × ".join(f"{mm / 1000:.2g}" for mm in extent)
        raise GeometryError(
            f"{volume.name} is {shown} m large, with voxels of "
            f"{' × '.join(f'{mm:.4g}' for mm in volume.spacing_mm)} mm; no scan of a body is.",
            code="geometry.field_of_view",
            hint="Correct the voxel sizes: they may be in another unit than millimetres.",
        )


def _sample(array: np.ndarray) -> np.ndarray:
    """Return every n-th voxel along each axis, `[I, J, K]`, at most about a million."""
    step = max(1, int(np.ceil((array.size / _MAX_SAMPLES) ** (1 / 3))))
    return array[::step, ::step, ::step]


def _check_kind(volume: Volume, values: np.ndarray) -> None:
    marked = next((note for note in volume.notes if note.code == "label_map"), None)
    if marked is None and not _is_label_map(volume.array, values):
        return
    reason = marked.text if marked else f"{volume.name} holds a few whole numbers in flat regions, as a label map does."
    raise InputError(reason, code="input.labelmap", hint="Give the CT or MR scan that it belongs to.")


def _is_label_map(array: np.ndarray, values: np.ndarray) -> bool:
    if values.min() != 0 or values.max() == 0 or values.max() > 4 * _MAX_LABELS:
        return False
    distinct = np.unique(values)
    is_whole = values.dtype.kind in "biu" or bool((distinct == np.rint(distinct)).all())
    if not is_whole or len(distinct) > _MAX_LABELS or distinct[-1] > max(1, 4 * len(distinct)):
        return False
    if len(distinct) <= _MIN_VALUES:
        return True
    # Neighbours along i in some slices, where at least one is no background.
    step = max(1, array.shape[2] // 16)
    left, right = array[:-1, :, ::step], array[1:, :, ::step]
    inside = (left != 0) | (right != 0)
    num_inside = np.count_nonzero(inside)
    return bool(num_inside) and bool(np.count_nonzero((left == right) & inside) >= _FLAT_SHARE * num_inside)


def _check_hounsfield(name: str, values: np.ndarray) -> None:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return
    reason = ""
    if high - low < _MIN_SPAN_HU:
        reason = f"they span {high - low:.3g} only ({low:.4g} to {high:.4g})"
    elif _share(values > _MAX_METAL_HU) > _MAX_BRIGHT_SHARE:
        reason = f"{_share(values > _MAX_METAL_HU):.0%} of them are above {_MAX_METAL_HU}, which is denser than metal"
    elif _share(values < 0) < _MIN_NEGATIVE_SHARE:
        reason = _reason_without_negatives(values)
    elif _share(values > _CORTICAL_HU) > _MOST_DENSE * _share(values > _LUNG_TISSUE_HU):
        reason = f"most of the body is above {_CORTICAL_HU}, which is denser than bone"
    if reason:
        message = f"{name} is taken for CT, but its values cannot be Hounsfield units: {reason}."
        raise InputError(message, code="input.values", hint=_TO_HU)


def _reason_without_negatives(values: np.ndarray) -> str:
    """A region cut out of soft tissue may have no voxel below 0, but neither a background nor bone all over."""
    if _share(np.abs(values.astype(np.float32) - _OFFSET_HU) < _TISSUE_HU) > _MIN_TISSUE_SHARE:
        return f"none is below 0, and they look like Hounsfield units plus {_OFFSET_HU}"
    if _share(values <= _BACKGROUND) > _MIN_AIR_SHARE or _share(values > _BONE_HU) > _MIN_TISSUE_SHARE:
        return "none is below 0, though fat and air are"
    if np.percentile(values, _DARKEST) > _DENSE_HU:
        return f"none is below {_DENSE_HU}, though all soft tissue is"
    return ""


def _share(inside: np.ndarray) -> float:
    return float(np.count_nonzero(inside)) / inside.size


def _unusual(volume: Volume, values: np.ndarray) -> Iterator[InputNote]:
    extent = max(size * mm for size, mm in zip(volume.shape, volume.spacing_mm, strict=True))
    if extent < _MIN_EXTENT_MM:
        text = f"Check: the image is {extent:.0f} mm large only; are its voxel sizes in millimetres?"
        yield InputNote("geometry.small", text)
    darkest = float(np.percentile(values, _DARKEST))
    if volume.modality == "CT" and _LUNG_HU < darkest < _FAT_HU:
        text = (
            f"Check: the darkest voxels have {darkest:.0f} HU, which is neither air (-1000) nor fat (-100): the values "
            "may be shifted, scaled or clipped."
        )
        yield InputNote("values.shifted", text)
    air = np.count_nonzero(values <= -900) / values.size
    if volume.modality == "MR" and air > _MIN_AIR_SHARE:
        text = f"Check: taken for MR, but {air:.0%} of the voxels are at or below -900, as air is in CT."
        yield InputNote("values.like_ct", text)
