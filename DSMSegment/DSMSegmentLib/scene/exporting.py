"""Export of a segmentation, by file extension."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import slicer

from dsm.errors import InputError, OutputError
from dsm.io.formats import DICOM_SEG, FORMATS, LABEL_MAP, SEG_NRRD, format_of
from dsm.io.segment_record import SegmentRecord
from DSMSegmentLib.scene.dicom_export import exportDicom, seriesFiles
from DSMSegmentLib.scene.layer_packer import packLayers
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, maskOnVolume, orientedImageFromSegment, volumeFromNode
from DSMSegmentLib.scene.segment_tags import tagsOf

# Slicer writes this one, too; the engine does not.
_NRRD = ".nrrd"
# Of the file dialog.
FILTERS = ";;".join([f"{one.label} (*{one.suffix})" for one in FORMATS] + [f"{LABEL_MAP.label} (*{_NRRD})"])


def exportSegmentation(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode | None, path: Path
) -> None:
    """Write a segmentation in one of `dsm.io.formats`, or as a label map `.nrrd`.

    Slicer itself writes the formats that it knows: it keeps segments that are not binary, and writes what the values of
    a label map mean beside it, as `.labels.csv`. The engine writes the others.

    Args:
        segmentationNode: Segmentation to write.
        volumeNode: Whose grid a label map gets; None for the grid of the segmentation.
        path: Where to write; an existing file is replaced only when the new one is whole.

    Raises:
        InputError: If there is nothing to write, or the format needs a volume and there is none.
        OutputError: If the name ends in something else, or the file cannot be written.
    """
    if segmentationNode.GetSegmentation().GetNumberOfSegments() == 0:
        raise InputError(f"{segmentationNode.GetName()} has no segments.", code="input.empty", hint="Segment first.")
    suffix = _NRRD if _isLabelMapNrrd(path) else format_of(path).suffix
    packLayers(segmentationNode)
    if suffix == DICOM_SEG.suffix:
        exportDicom(segmentationNode, volumeNode, path)
    elif suffix == SEG_NRRD.suffix:
        _writeBySlicer(lambda folder: _writeSegmentation(segmentationNode, folder / path.name), path, suffix)
    elif suffix in (LABEL_MAP.suffix, _NRRD):
        _writeBySlicer(lambda folder: _writeLabelMap(segmentationNode, volumeNode, folder, suffix[1:]), path, suffix)
    elif volumeNode is None:
        raise InputError("The volume is not in the scene.", code="input.volume", hint="Export .seg.nrrd instead.")
    else:
        chosen = format_of(path)
        files = seriesFiles(volumeNode) if chosen.needs_series else ()
        chosen.write(path, recordsOf(segmentationNode, volumeNode), volumeFromNode(volumeNode), files)


def recordsOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode | None = None
) -> list[SegmentRecord]:
    """Return the segments as the writers of the engine take them.

    Args:
        segmentationNode: The segmentation.
        volumeNode: Whose grid the masks get; None where the segmentation is on the grid of its volume already.
    """
    segmentation = segmentationNode.GetSegmentation()
    records = []
    for segmentId in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segmentId)
        red, green, blue = (round(255 * channel) for channel in segment.GetColor())
        mask = (
            cropFromOrientedImage(orientedImageFromSegment(segmentationNode, segmentId))
            if volumeNode is None
            else maskOnVolume(segmentationNode, segmentId, volumeNode)
        )
        terminology = segment.GetTerminology() or ""
        records.append(SegmentRecord(segment.GetName(), mask, (red, green, blue), terminology, tagsOf(segment)))
    return records


def writeSegNrrd(segmentationNode: slicer.vtkMRMLSegmentationNode, path: Path) -> bool:
    """Write `.seg.nrrd` with a storage node of its own, so that the node's file in the scene stays what it was."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetScene(segmentationNode.GetScene())
    storage.SetFileName(str(path))
    storage.SetUseCompression(True)
    return bool(storage.WriteData(segmentationNode)) and path.is_file()


def _isLabelMapNrrd(path: Path) -> bool:
    return path.name.endswith(_NRRD) and not path.name.endswith(SEG_NRRD.suffix)


def _writeBySlicer(write: Callable[[Path], list[Path]], path: Path, suffix: str) -> None:
    """Let Slicer write into a temporary folder, then move the files to where they are wanted."""
    with tempfile.TemporaryDirectory() as folder:
        written = write(Path(folder))
        if not written:
            raise OutputError(f"Slicer could not write {path.name}.", hint="Check that the folder can be written to.")
        try:
            for file in written:
                name = path.name.removesuffix(suffix) + ".labels.csv" if file.suffix == ".csv" else path.name
                shutil.move(file, path.with_name(name))
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror}).", hint="Choose another folder.") from error


def _writeSegmentation(segmentationNode: slicer.vtkMRMLSegmentationNode, path: Path) -> list[Path]:
    return [path] if writeSegNrrd(segmentationNode, path) else []


def _writeLabelMap(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNode: slicer.vtkMRMLVolumeNode | None,
    folder: Path,
    extension: str,
) -> list[Path]:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    done = logic.ExportSegmentsBinaryLabelmapRepresentationToFiles(
        str(folder), segmentationNode, None, extension, True, volumeNode
    )
    return list(folder.iterdir()) if done else []
