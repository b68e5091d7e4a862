"""Export of a segmentation, by file extension."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import slicer

from dsm.errors import InputError, OutputError
from DSMSegmentLib.scene.dicom_export import exportDicom
from DSMSegmentLib.scene.layer_packer import packLayers

FILTERS = "Segmentation (*.seg.nrrd);;Label map (*.nii.gz);;Label map (*.nrrd);;DICOM segmentation (*.dcm)"


def exportSegmentation(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode | None, path: Path
) -> None:
    """Write `path`: `.seg.nrrd` keeps names, colours, codes and overlap; `.nii.gz` and `.nrrd` are one label map.

    What the values of a label map mean is written beside it, as `.labels.csv`.

    Args:
        segmentationNode: What to write.
        volumeNode: Whose grid a label map gets; None for the grid of the segmentation.
        path: Where to write; an existing file is replaced only when the new one is whole.

    Raises:
        InputError: If there is nothing to write, or the name ends in something else.
        OutputError: If Slicer cannot write it.
    """
    if segmentationNode.GetSegmentation().GetNumberOfSegments() == 0:
        raise InputError(f"{segmentationNode.GetName()} has no segments.", code="input.empty", hint="Segment first.")
    if path.suffix == ".dcm":
        exportDicom(segmentationNode, volumeNode, path)
        return
    extension = next((end for end in ("seg.nrrd", "nii.gz", "nrrd") if path.name.endswith(f".{end}")), "")
    if not extension:
        raise InputError(
            f"{path.name} has no known ending.", code="output.format", hint="Use .seg.nrrd, .nii.gz, .nrrd or .dcm."
        )
    packLayers(segmentationNode)
    with tempfile.TemporaryDirectory() as folder:
        if extension == "seg.nrrd":
            written = _writeSegmentation(segmentationNode, Path(folder) / path.name)
        else:
            written = _writeLabelMap(segmentationNode, volumeNode, Path(folder), extension)
        if not written:
            raise OutputError(f"Slicer could not write {path.name}.", hint="Check that the folder can be written to.")
        try:
            for file in written:
                name = path.name.removesuffix(extension) + "labels.csv" if file.suffix == ".csv" else path.name
                shutil.move(file, path.with_name(name))
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror}).", hint="Choose another folder.") from error


def _writeSegmentation(segmentationNode: slicer.vtkMRMLSegmentationNode, path: Path) -> list[Path]:
    """With a storage node of its own, so that the node's file in the scene stays what it was."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetScene(segmentationNode.GetScene())
    storage.SetFileName(str(path))
    return [path] if storage.WriteData(segmentationNode) and path.is_file() else []


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
