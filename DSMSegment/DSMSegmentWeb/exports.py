"""What is shown, as a file to take home: a Slicer segmentation, a label map with its names, or the whole scene."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from dsm.errors import InputError, OutputError
from dsm.io.segmentation import SegmentRecord, write_labelmap
from DSMSegmentLib import volumeFromNode
from DSMSegmentLib.mrml import cropFromOrientedImage, orientedImageFromSegment


def export(kind: str, volume_node: Any, segmentation_node: Any, folder: Path) -> Path:
    """Write what is shown into an empty folder.

    Args:
        kind: `"seg.nrrd"`, `"nii.gz"`, `"json"` (the names of the label map's values) or `"mrb"`.
        volume_node: The scan, or None when nothing is open.
        segmentation_node: Its segmentation.
        folder: Where to write.

    Returns:
        The file, named after the scan.

    Raises:
        InputError: If there is nothing to export, or the kind is not known.
        OutputError: If the file cannot be written.
    """
    if kind not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise InputError(f"{kind[:20]!r} is no file type for export.", code="input.export", hint=f"Choose {known}.")
    if volume_node is None:
        raise InputError("No scan is open, so there is nothing to export.", code="input.export", hint="Open one first.")
    if kind != "mrb" and segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
        message = "There is no segment yet, so there is nothing to export."
        raise InputError(message, code="input.export", hint="Segment something first.")
    stem = re.sub(r"[^\w.-]+", "_", volume_node.GetName()).strip("._") or "scan"
    return _WRITERS[kind](folder / stem, volume_node, segmentation_node)


def _write_seg_nrrd(stem: Path, _volume_node: Any, segmentation_node: Any) -> Path:
    path = stem.with_name(f"{stem.name}.seg.nrrd")
    # A storage node of its own: the one in the scene would remember a folder that is gone a moment later.
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(True)
    return _checked(storage.WriteData(segmentation_node), path)


def _write_labelmap(stem: Path, volume_node: Any, segmentation_node: Any) -> Path:
    path = stem.with_name(f"{stem.name}.nii.gz")
    write_labelmap(path, _records(segmentation_node), volumeFromNode(volume_node))
    return path


def _write_names(stem: Path, volume_node: Any, segmentation_node: Any) -> Path:
    return _write_labelmap(stem, volume_node, segmentation_node).with_name(f"{stem.name}.json")


def _write_scene(stem: Path, volume_node: Any, _segmentation_node: Any) -> Path:
    path = stem.with_name(f"{stem.name}.mrb")
    return _checked(volume_node.GetScene().WriteToMRB(str(path), None, None) and zipfile.is_zipfile(path), path)


_WRITERS: dict[str, Callable[[Path, Any, Any], Path]] = {
    "seg.nrrd": _write_seg_nrrd,
    "nii.gz": _write_labelmap,
    "json": _write_names,
    "mrb": _write_scene,
}


def _records(segmentation_node: Any) -> list[SegmentRecord]:
    segmentation = segmentation_node.GetSegmentation()
    records = []
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        red, green, blue = (round(255 * channel) for channel in segment.GetColor())
        mask = cropFromOrientedImage(orientedImageFromSegment(segmentation_node, segment_id))
        records.append(SegmentRecord(segment.GetName(), mask, (red, green, blue), segment.GetTerminology() or ""))
    return records


def _checked(written: Any, path: Path) -> Path:
    if not written or not path.is_file():
        message = f"{path.name} could not be written."
        raise OutputError(message, hint="Free some space in the folder for temporary files, then try again.")
    return path
