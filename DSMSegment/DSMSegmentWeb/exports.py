"""Export of the current view: a segmentation for Slicer or a PACS, a label map, or the whole scene."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from dsm.errors import InputError, OutputError
from dsm.io.segmentation import SegmentRecord, write_dicom_seg, write_labelmap
from DSMSegmentLib import volumeFromNode
from DSMSegmentLib.scene.layer_packer import packLayers
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, orientedImageFromSegment
from DSMSegmentLib.scene.segment_tags import tagsOf


@dataclass(frozen=True, slots=True)
class _Shown:
    """Exported data: scan, segmentation, files of the DICOM series, and the path without its suffix."""

    volume_node: Any
    segmentation_node: Any
    dicom_files: Sequence[str]
    stem: Path


def export(kind: str, volume_node: Any, segmentation_node: Any, folder: Path, dicom_files: Sequence[str] = ()) -> Path:
    """Export the current view into an empty folder.

    Args:
        kind: `"seg.nrrd"`, `"nii.gz"`, `"json"` (the names of the label map's values), `"dcm"` (DICOM SEG) or `"mrb"`.
        volume_node: The scan, or None when nothing is open.
        segmentation_node: Its segmentation.
        folder: Where to write.
        dicom_files: Of the series of the scan; empty when it is no DICOM series.

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
    packLayers(segmentation_node)  # a run leaves that to whoever saves
    stem = re.sub(r"[^\w.-]+", "_", volume_node.GetName()).strip("._") or "scan"
    return _WRITERS[kind](_Shown(volume_node, segmentation_node, dicom_files, folder / stem))


def _write_seg_nrrd(shown: _Shown) -> Path:
    path = _path(shown, "seg.nrrd")
    # A storage node of its own: the one in the scene would remember a folder that is gone a moment later.
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(True)
    return _checked(storage.WriteData(shown.segmentation_node), path)


def _write_labelmap(shown: _Shown) -> Path:
    path = _path(shown, "nii.gz")
    write_labelmap(path, _records(shown.segmentation_node), volumeFromNode(shown.volume_node))
    return path


def _write_names(shown: _Shown) -> Path:
    _write_labelmap(shown)
    return _path(shown, "json")


def _write_dicom_seg(shown: _Shown) -> Path:
    if not shown.dicom_files:
        message = "The scan is no DICOM series, so there is nothing that a DICOM SEG could refer to."
        raise InputError(message, code="input.no_dicom", hint="Open the DICOM series, or choose another type.")
    path = _path(shown, "dcm")
    volume = volumeFromNode(shown.volume_node)
    write_dicom_seg(path, _records(shown.segmentation_node), volume, shown.dicom_files)
    return path


def _write_scene(shown: _Shown) -> Path:
    path = _path(shown, "mrb")
    written = shown.volume_node.GetScene().WriteToMRB(str(path), None, None)
    return _checked(written and zipfile.is_zipfile(path), path)


_WRITERS: dict[str, Callable[[_Shown], Path]] = {
    "seg.nrrd": _write_seg_nrrd,
    "nii.gz": _write_labelmap,
    "json": _write_names,
    "dcm": _write_dicom_seg,
    "mrb": _write_scene,
}


def _path(shown: _Shown, suffix: str) -> Path:
    return shown.stem.with_name(f"{shown.stem.name}.{suffix}")


def _records(segmentation_node: Any) -> list[SegmentRecord]:
    segmentation = segmentation_node.GetSegmentation()
    records = []
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        red, green, blue = (round(255 * channel) for channel in segment.GetColor())
        mask = cropFromOrientedImage(orientedImageFromSegment(segmentation_node, segment_id))
        terminology = segment.GetTerminology() or ""
        records.append(SegmentRecord(segment.GetName(), mask, (red, green, blue), terminology, tagsOf(segment)))
    return records


def _checked(written: Any, path: Path) -> Path:
    if not written or not path.is_file():
        message = f"{path.name} could not be written."
        raise OutputError(message, hint="Free some space in the folder for temporary files, then try again.")
    return path
