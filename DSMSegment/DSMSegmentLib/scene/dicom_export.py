"""DICOM SEG export with Slicer's exporter, after checking its requirements, and the files of a DICOM series."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer

from dsm.core.segment_tags import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG
from dsm.errors import InputError, OutputError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.scene.placement import placeBesideVolume
from DSMSegmentLib.scene.segment_tags import tagOf
from DSMSegmentLib.scene.segment_volumes import isOfAnotherVolume

_MAX_NAME = 64  # DICOM value representation LO
_TYPES = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")


def dicomProblems(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode | None
) -> list[str]:
    """Return the problems that prevent a complete DICOM SEG, one sentence each; none if there is no problem.

    Args:
        segmentationNode: Segmentation to export.
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
        if isOfAnotherVolume(segmentationNode, segmentId):
            problems.append(
                _("{name} was made on another volume; export it from a segmentation of that.").format(name=name)
            )
        kind = tagOf(segment, ALGORITHM_TYPE_TAG)
        if kind not in ("", *_TYPES):
            problems.append(_("{name} has the unknown algorithm type {kind}.").format(name=name, kind=kind))
        algorithm = tagOf(segment, ALGORITHM_NAME_TAG)
        if kind in _TYPES[:2] and not 0 < len(algorithm) <= _MAX_NAME:
            problems.append(_("{name} has no algorithm name of at most 64 characters.").format(name=name))
    return problems


def exportDicom(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode | None, path: Path
) -> None:
    """Write a DICOM SEG.

    Args:
        segmentationNode: Segmentation to export.
        volumeNode: The volume that was segmented.
        path: Where to write; an existing file is replaced only when the new one is whole.

    Raises:
        InputError: If it would not be complete; nothing is written then.
        OutputError: If Slicer cannot write it, or has no exporter.
    """
    if problems := dicomProblems(segmentationNode, volumeNode):
        raise InputError(
            " ".join(problems), code="output.dicom", hint=_("Export it as .seg.nrrd, or set what is missing first.")
        )
    exporter = _exporter()
    placeBesideVolume(segmentationNode, volumeNode)
    exportables = exporter.examineForExport(_itemOf(segmentationNode))
    if not exportables:
        raise OutputError(_("Slicer does not offer this segmentation for DICOM export."), code="output.dicom")
    with tempfile.TemporaryDirectory() as folder:  # the exporter chooses the name
        for exportable in exportables:
            exportable.directory = folder
        if error := exporter.export(exportables):
            raise OutputError(_("DICOM export failed: {error}").format(error=error), code="output.dicom")
        _moveOnly(Path(folder), path)


def seriesFiles(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> tuple[str, ...]:
    """Return the files that a volume was loaded from, as the DICOM database of the application has them.

    Raises:
        InputError: If the volume was not loaded from DICOM, or a file is not in the database any more.
    """
    files = tuple(slicer.dicomDatabase.fileForInstance(uid) for uid in _instanceUids(volumeNode).split())
    if files and all(files):
        return files
    raise InputError(
        _("The slices of {name} are not in the DICOM database, so there is nothing to refer to.").format(
            name=volumeNode.GetName()
        ),
        code="input.no_dicom",
        hint=_("Load the volume with the module DICOM, or export .seg.nrrd."),
    )


def _exporter() -> Any:
    """Return Slicer's segmentation exporter; before 5.12 it is part of an extension."""
    try:
        import DICOMSegmentationPlugin
    except ImportError as error:
        raise OutputError(
            _("Slicer has no exporter of DICOM segmentations."),
            code="output.dicom",
            hint=_("Before Slicer 5.12: install QuantitativeReporting in the Extensions Manager and restart Slicer."),
        ) from error
    return DICOMSegmentationPlugin.DICOMSegmentationPluginClass()


def _moveOnly(folder: Path, path: Path) -> None:
    """Move the exported file to the path chosen by the user."""
    written = list(folder.glob("*.dcm"))
    if len(written) != 1:
        message = _("Slicer has exported {count} files instead of one.").format(count=len(written))
        raise OutputError(message, code="output.dicom")
    try:
        shutil.move(written[0], path)
    except OSError as error:
        raise OutputError(
            _("{path} cannot be written ({reason}).").format(path=path, reason=error.strerror),
            hint=_("Choose another folder."),
        ) from error


def _itemOf(node: slicer.vtkMRMLNode) -> int:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    return int(hierarchy.GetItemByDataNode(node))


def _instanceUids(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> str:
    return str(volumeNode.GetAttribute("DICOM.instanceUIDs") or "")
