"""Slicer's segmentation file `.seg.nrrd`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from dsm.core.boxes import Box, CroppedArray
from dsm.core.volume import Volume
from dsm.io.atomic import atomic_output
from dsm.io.compression import gzip_into
from dsm.io.segment_record import SegmentRecord, check_records

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_seg_nrrd(path: str | os.PathLike[str], records: Sequence[SegmentRecord], volume: Volume) -> None:
    """Write segments with names, colours and terminology, in the order given.

    Segments share one label map; those that overlap an earlier one go to further layers, so no voxel is lost. Only the
    box that holds all segments is stored, and where it lies in the scan. Empty segments are kept: what shall not
    appear in Slicer's list must not be in `records`.

    Args:
        path: The file; by Slicer's convention its name ends in `.seg.nrrd`.
        records: The segments.
        volume: Whose grid the masks are on.

    Raises:
        ShapeError: If a mask reaches outside of the grid.
        OutputError: If the file cannot be written.
    """
    check_records(records, volume)
    packed = _Packed.of(records)
    header = _header(records, packed, volume)
    with atomic_output(path) as part, part.open("wb") as stream:
        stream.write(header.encode())
        with gzip_into(stream) as compressed:
            _write_layers(compressed, packed.layers)


@dataclass(frozen=True, slots=True)
class _Place:
    """Storage of a segment: its layer, label value, and bounding box (None if it is empty)."""

    layer: int
    value: int
    box: Box | None


@dataclass(frozen=True, slots=True)
class _Packed:
    """Segments in as few layers as they need, cut to the box `common` around all of them."""

    common: Box
    layers: list[np.ndarray]
    places: list[_Place]

    @classmethod
    def of(cls, records: Sequence[SegmentRecord]) -> _Packed:
        """Put each segment into the first layer where it overlaps nothing."""
        boxes = [_tight_box(record) for record in records]
        common = _union([box for box in boxes if box is not None])
        dtype = np.uint8 if len(records) <= np.iinfo(np.uint8).max else np.uint16
        layers: list[np.ndarray] = [np.zeros(common.size, dtype=dtype, order="F")]
        num_in_layer = [0]
        places = []
        for record, box in zip(records, boxes, strict=True):
            chosen = 0
            if box is not None:
                inside = record.mask.array[_shift(box, record.mask.box).slices] != 0
                region = _shift(box, common).slices
                chosen = next((n for n, layer in enumerate(layers) if not layer[region][inside].any()), len(layers))
                if chosen == len(layers):
                    layers.append(np.zeros(common.size, dtype=dtype, order="F"))
                    num_in_layer.append(0)
                layers[chosen][region][inside] = num_in_layer[chosen] + 1
            num_in_layer[chosen] += 1
            places.append(_Place(chosen, num_in_layer[chosen], box))
        return cls(common, layers, places)


def _tight_box(record: SegmentRecord) -> Box | None:
    box = CroppedArray.from_mask(record.mask.array, record.mask.offset_ijk).box
    return None if box.is_empty else box


def _union(boxes: list[Box]) -> Box:
    """Smallest box around all; one voxel if there is nothing, because an image without voxels cannot be read back."""
    if not boxes:
        return Box((0, 0, 0), (1, 1, 1))
    start = np.min([box.start for box in boxes], axis=0)
    stop = np.max([box.stop for box in boxes], axis=0)
    return Box(tuple(start), tuple(stop))


def _shift(box: Box, origin: Box) -> Box:
    """Return `box` counted from the start of `origin`."""
    start = tuple(a - b for a, b in zip(box.start, origin.start, strict=True))
    stop = tuple(a - b for a, b in zip(box.stop, origin.start, strict=True))
    return Box(start, stop)  # type: ignore[arg-type]  # three each


def _write_layers(stream: BinaryIO, layers: list[np.ndarray]) -> None:
    """Write slice by slice; the layer is the fastest axis of the file, then i, j, k."""
    num_i, num_j, num_k = layers[0].shape
    slab = np.empty((num_j, num_i, len(layers)), dtype=layers[0].dtype)
    for k in range(num_k):
        for n, layer in enumerate(layers):
            slab[:, :, n] = layer[:, :, k].T
        stream.write(slab.tobytes())


def _header(records: Sequence[SegmentRecord], packed: _Packed, volume: Volume) -> str:
    common, layers = packed.common, packed.layers
    lps = _RAS_TO_LPS @ volume.affine
    directions = [_vector(lps[:3, axis]) for axis in range(3)]
    sizes = list(common.size)
    kinds = ["domain"] * 3
    if len(layers) > 1:
        directions.insert(0, "none")
        sizes.insert(0, len(layers))
        kinds.insert(0, "list")
    lines = [
        "NRRD0004",
        f"type: {'unsigned char' if layers[0].dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector((lps @ [*common.start, 1])[:3])}",
    ]
    for n, (record, place) in enumerate(zip(records, packed.places, strict=True)):
        fields = {
            "ID": f"DSM_{re.sub('[^0-9A-Za-z]+', '_', record.name).strip('_')}_{n + 1}",
            "Name": record.name,
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{channel / 255:.6g}" for channel in record.color),
            "ColorAutoGenerated": "0",
            "Extent": _extent(None if place.box is None else _shift(place.box, common)),
            "Layer": str(place.layer),
            "LabelValue": str(place.value),
            "Tags": _tags(record),
        }
        lines += [f"Segment{n}_{key}:={_escape(value)}" for key, value in fields.items()]
    lines += [
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        f"Segmentation_ReferenceImageExtentOffset:={' '.join(map(str, common.start))}",
        f"Segmentation_ConversionParameters:={_reference_geometry(volume)}",
    ]
    return "\n".join(lines) + "\n\n"


def _vector(values: np.ndarray) -> str:
    # repr of a float is the shortest text that reads back as the same number.
    return f"({','.join(repr(float(value)) for value in values)})"


def _extent(box: Box | None) -> str:
    """Slicer's extents include the last voxel; an empty one ends before it starts."""
    if box is None:
        return "0 -1 0 -1 0 -1"
    return " ".join(f"{a} {b - 1}" for a, b in zip(box.start, box.stop, strict=True))


def _tags(record: SegmentRecord) -> str:
    tags = dict(record.tags)
    if record.terminology_tag:
        tags = {"TerminologyEntry": record.terminology_tag} | tags
    # Slicer separates tags by bars, and keys from values by the first colon; it has no way to write either.
    return "".join(
        f"{key.replace('|', '/').replace(':', '_')}:{value.replace('|', '/')}|" for key, value in tags.items()
    )


def _escape(value: str) -> str:
    """One line, whatever the prompt was: NRRD would take the rest for a field of its own."""
    return " ".join(value.splitlines()).replace("\\", "\\\\")


def _reference_geometry(volume: Volume) -> str:
    """The grid of the scan, so that Slicer edits on it although only a box is stored."""
    extent = " ".join(f"0 {size - 1}" for size in volume.shape).split()
    numbers = [repr(float(value)) for value in volume.affine.ravel()] + extent
    return f"Reference image geometry|{';'.join(numbers)};|Geometry of the scan that was segmented.&"
