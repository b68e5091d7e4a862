"""Segments of 3D Slicer read back, from `.seg.nrrd` or from a scene bundle `.mrb`."""

# SimpleITK ships a py.typed marker without annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)

from dsm.core.boxes import CroppedArray
from dsm.errors import ImageError
from dsm.io.quiet_itk import quiet_itk
from dsm.io.segment_record import SegmentRecord

_TERMINOLOGY = "TerminologyEntry"


def read_segments(path: str | os.PathLike[str]) -> list[SegmentRecord]:
    """Read segments with names, colours, terminology and tags; `dsm.core.segment_tags.from_tags` says what tags mean.

    Args:
        path: A `.seg.nrrd`, or an `.mrb` of which all segmentations are read.

    Returns:
        The segments in the order of the file; masks are cropped, on the grid of the scan that was segmented.

    Raises:
        ImageError: If the file is damaged or holds no segmentation (`bad_image.no_segmentation`).
    """
    path = Path(path)
    if path.suffix == ".mrb":
        return _read_bundle(path)
    return _read_nrrd(path)


def _read_bundle(path: Path) -> list[SegmentRecord]:
    records = []
    try:
        with zipfile.ZipFile(path) as bundle, tempfile.TemporaryDirectory() as folder:
            for name in bundle.namelist():
                if not name.endswith(".seg.nrrd"):
                    continue
                target = Path(folder) / "one.seg.nrrd"
                with bundle.open(name) as packed, target.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
                records += _read_nrrd(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ImageError(f"{path} is not a scene bundle of 3D Slicer.", code="bad_image.damaged") from error
    return records


def _read_nrrd(path: Path) -> list[SegmentRecord]:
    try:
        with quiet_itk():
            image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    except RuntimeError as error:
        raise ImageError(f"{path} cannot be read as NRRD.", code="bad_image.damaged", details=str(error)) from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    numbers = sorted(int(found[1]) for key in header if (found := re.fullmatch(r"Segment(\d+)_ID", key)))
    if not numbers:
        raise ImageError(
            f"{path} holds no segmentation of 3D Slicer.",
            code="bad_image.no_segmentation",
            hint="Give a .seg.nrrd or an .mrb that was saved by 3D Slicer or dsm.",
        )
    voxels = sitk.GetArrayViewFromImage(image)
    layers = voxels if image.GetNumberOfComponentsPerPixel() > 1 else voxels[..., None]
    offset = np.array([int(part) for part in header.get("Segmentation_ReferenceImageExtentOffset", "0 0 0").split()])
    return [_record(header, f"Segment{number}_", layers, offset) for number in numbers]


def _record(header: Mapping[str, str], prefix: str, layers: np.ndarray, offset: np.ndarray) -> SegmentRecord:
    layer = layers[..., int(header.get(f"{prefix}Layer", "0"))]
    mask = (layer == int(header.get(f"{prefix}LabelValue", "1"))).transpose(2, 1, 0)
    red, green, blue = (round(255 * float(part)) for part in header.get(f"{prefix}Color", "0.5 0.5 0.5").split())
    tags = dict(part.split(":", 1) for part in header.get(f"{prefix}Tags", "").split("|") if ":" in part)
    return SegmentRecord(
        header.get(f"{prefix}Name", ""),
        CroppedArray.from_mask(mask.astype(np.uint8), offset.tolist()),
        (red, green, blue),
        tags.pop(_TERMINOLOGY, ""),
        tags,
    )
