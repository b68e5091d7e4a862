"""DICOM SEG by Slicer's own exporter, after a look at what it would refuse or leave out."""

from __future__ import annotations

from pathlib import Path

import slicer

from dsm.errors import InputError, OutputError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.placement import placeBesideVolume
from DSMSegmentLib.provenance import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG
from DSMSegmentLib.result_rows import tagOf

_MAX_NAME = 64  # DICOM value representation LO
_TYPES = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")


def dicomProblems(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode | None
) -> list[str]:
    """Return what keeps a segmentation from becoming a complete DICOM SEG, one sentence each; none when all is well.

    Args:
        segmentationNode: What is to be exported.
        volumeNode: The volume that was segmented; a DICOM SEG refers to its slices.
    """
    problems = []
    if volumeNode is None or not _instanceUids(volumeNode):
        problems.append(_("The volume was not loaded from DICOM, so there are no slices to refer to."))
    segmentation = segmentationNode.GetSegmentation()
    for segmentId in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segmentId)
        name = segment.GetName()
        # context~category~type~...: the standard demands category and type as codes.
        triplets = segment.GetTerminology().split("~")[1:3]
        if len(triplets) < 2 or any(len([part for part in one.split("^") if part]) < 3 for one in triplets):
            problems.append(_("{name} has no coded category and type.").format(name=name))
        kind = tagOf(segment, ALGORITHM_TYPE_TAG)
        if kind not in ("", *_TYPES):
            problems.append(_("{name} has the unknown algorithm type {kind}.").format(name=name, kind=kind))
        algorithm = tagOf(segment, ALGORITHM_NAME_TAG)
        if kind in _TYPES[:2] and not 0 < len(algorithm) <= _MAX_NAME:
            problems.append(_("{name} has no algorithm name of at most 64 characters.").format(name=name))
    return problems


def exportDicom(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode | None, folder: Path
) -> None:
    """Write a DICOM SEG into `folder`.

    Raises:
        InputError: If it would not be complete; nothing is written then.
        OutputError: If Slicer cannot write it.
    """
    if problems := dicomProblems(segmentationNode, volumeNode):
        raise InputError(
            " ".join(problems), code="output.dicom", hint=_("Export it as .seg.nrrd, or set what is missing first.")
        )
    import DICOMSegmentationPlugin

    placeBesideVolume(segmentationNode, volumeNode)
    exporter = DICOMSegmentationPlugin.DICOMSegmentationPluginClass()
    exportables = exporter.examineForExport(_itemOf(segmentationNode))
    if not exportables:
        raise OutputError(_("Slicer does not offer this segmentation for DICOM export."), code="output.dicom")
    for exportable in exportables:
        exportable.directory = str(folder)
    if error := exporter.export(exportables):
        raise OutputError(_("DICOM export failed: {error}").format(error=error), code="output.dicom")


def _itemOf(node: slicer.vtkMRMLNode) -> int:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    return int(hierarchy.GetItemByDataNode(node))


def _instanceUids(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> str:
    return str(volumeNode.GetAttribute("DICOM.instanceUIDs") or "")
