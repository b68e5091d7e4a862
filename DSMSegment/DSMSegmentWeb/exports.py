"""Export of the current view: a segmentation for Slicer or a PACS, a label map, or the whole scene."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsm.errors import InputError, OutputError
from dsm.io.formats import FORMATS, SEG_NRRD, SegmentationFormat, no_series
from DSMSegmentLib import volumeFromNode
from DSMSegmentLib.scene.exporting import recordsOf, writeSegNrrd
from DSMSegmentLib.scene.layer_packer import packLayers
from DSMSegmentLib.scene.segment_display import withoutOverrides

SCENE = "mrb"
# Files that a format has beside it, e.g. the names of the values of a label map.
COMPANIONS = {one.companion_suffix[1:]: one for one in FORMATS if one.companion_suffix}
_MAX_NAME = 80
_BY_NAME = {one.name: one for one in FORMATS}


def export(kind: str, volume_node: Any, segmentation_node: Any, folder: Path, dicom_files: Sequence[str] = ()) -> Path:
    """Export the current view into an empty folder.

    Args:
        kind: Name of one of `dsm.io.formats`, `"json"` (the names of the label map's values) or `"mrb"` (the scene).
        volume_node: The scan, or None when nothing is open.
        segmentation_node: Its segmentation.
        folder: Folder to write to.
        dicom_files: Of the series of the scan; empty when it is no DICOM series.

    Returns:
        The file, named after the scan.

    Raises:
        InputError: If there is nothing to export, or the kind is not known.
        OutputError: If the file cannot be written.
    """
    kinds = {*_BY_NAME, *COMPANIONS, SCENE}
    if kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise InputError(f"{kind[:20]!r} is no file type for export.", code="input.export", hint=f"Choose {known}.")
    if volume_node is None:
        raise InputError("No scan is open, so there is nothing to export.", code="input.export", hint="Open one first.")
    if kind != SCENE and segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
        message = "There is no segment yet, so there is nothing to export."
        raise InputError(message, code="input.export", hint="Segment something first.")
    packLayers(segmentation_node)  # a run leaves that to whoever saves
    stem = folder / safe_name(volume_node.GetName(), "scan")
    if kind == SCENE:
        with withoutOverrides(segmentation_node):
            return _write_scene(volume_node, _with_suffix(stem, f".{SCENE}"))
    if kind in COMPANIONS:
        return _write(COMPANIONS[kind], volume_node, segmentation_node, stem, dicom_files)[-1]
    return _write(_BY_NAME[kind], volume_node, segmentation_node, stem, dicom_files)[0]


def safe_name(name: str, otherwise: str) -> str:
    """Return a file name without what file systems, shells or HTTP headers could misunderstand, at most 80 long.

    Args:
        name: Any text.
        otherwise: What to return where nothing is left of it.

    Example:
        >>> safe_name("../left kidney?", "scan")
        'left_kidney'
    """
    return re.sub(r"(?:[^\w.-]|\.{2,})+", "_", name).strip("._-")[:_MAX_NAME] or otherwise


def _write(
    chosen: SegmentationFormat, volume_node: Any, segmentation_node: Any, stem: Path, dicom_files: Sequence[str]
) -> tuple[Path, ...]:
    path = _with_suffix(stem, chosen.suffix)
    if chosen is SEG_NRRD:  # by Slicer, which keeps what is not a binary mask
        return (_checked(writeSegNrrd(segmentation_node, path), path),)
    if chosen.needs_series and not dicom_files:
        raise no_series(chosen, "The scan", hint="Open the DICOM series, or choose another type.")
    return chosen.write(path, recordsOf(segmentation_node), volumeFromNode(volume_node), dicom_files)


def _write_scene(volume_node: Any, path: Path) -> Path:
    return _checked(volume_node.GetScene().WriteToMRB(str(path), None, None) and zipfile.is_zipfile(path), path)


def _with_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _checked(written: Any, path: Path) -> Path:
    if not written or not path.is_file():
        message = f"{path.name} could not be written."
        raise OutputError(message, hint="Free some space in the folder for temporary files, then try again.")
    return path
