"""Stand-in for Slicer's exporter of DICOM SEG: refuses what it refuses, in its order; who derives from it writes.

Only the names of segments, codes and arrays decide; what is written is checked where dcmqi writes it (docs/adr/0032).
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import slicer
import vtk
from exporter_view import exported_ids

_TYPES = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


class DICOMSegmentationExporter:
    """See Slicer's plug-in `DICOMSegmentationPlugin`."""

    file_name = "subject_hierarchy_export.SEG2026-01-02_030405.dcm"

    def fileForInstance(self, uid: str) -> str:
        """Return the file of an instance in the database, empty if there is none."""
        raise NotImplementedError

    def write(self, path: Path, node: Any, segment_ids: list[str], volume: Any) -> None:
        """Write the file."""
        raise NotImplementedError

    def examineForExport(self, item: int) -> list[Any]:
        """Return what can be exported: a segmentation whose referenced instances are in the database."""
        hierarchy = _hierarchy()
        node = hierarchy.GetItemDataNode(item)
        if node is None or not node.IsA("vtkMRMLSegmentationNode"):
            return []
        referenced = hierarchy.GetItemAttribute(item, "DICOM.ReferencedInstanceUIDs").split()
        if not all(self.fileForInstance(uid) for uid in referenced):
            return []
        return [types.SimpleNamespace(subjectHierarchyItemID=item, directory="")]

    def export(self, exportables: list[Any]) -> str:
        """Return why nothing was written, empty when all was."""
        for exportable in exportables:
            node = _hierarchy().GetItemDataNode(exportable.subjectHierarchyItemID)
            try:
                self.write(Path(exportable.directory, self.file_name), node, *self._checked(node))
            except ValueError as refused:
                return str(refused)
        return ""

    def _checked(self, node: Any) -> tuple[list[str], Any]:
        volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        if volume is None:
            raise ValueError("Referenced volume is not found for the segmentation.")
        segment_ids = exported_ids(node)
        if not segment_ids:
            raise ValueError("No non empty segments found.")
        if len(segment_ids) < node.GetSegmentation().GetNumberOfSegments():
            question = "Empty segments found in segmentation. Do you want to skip empty segments and proceed exporting?"
            if not slicer.util.confirmYesNoDisplay(question):
                raise ValueError("Export canceled")
        for segment_id in segment_ids:
            _check(node.GetSegmentation().GetSegment(segment_id))
        uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
        if not uids:
            raise ValueError(f"VolumeNode {volume.GetName()} has no attribute DICOM.instanceUIDs")
        if missing := sum(not self.fileForInstance(uid) for uid in uids):
            raise ValueError(
                "Referenced volume files were not found in the DICOM database "
                f"(missing {missing} files out of {len(uids)})."
            )
        return segment_ids, volume


def _check(segment: Any) -> None:
    entry = slicer.vtkSlicerTerminologyEntry()
    slicer.modules.terminologies.logic().DeserializeTerminologyEntry(segment.GetTerminology(), entry)
    if entry.GetCategoryObject() is None or entry.GetTypeObject() is None:
        raise ValueError(f"Segment {segment.GetName()} has missing attributes. Make sure to set terminology.")
    kind, name = (_tag(segment, f"DICOM.SegmentAlgorithm{key}") for key in ("Type", "Name"))
    if kind not in ("", *_TYPES):
        raise ValueError(f"Segment {segment.GetName()} has invalid attribute for SegmentAlgorithmType.")
    if kind not in ("", "MANUAL") and not name:
        raise ValueError(f"Segment {segment.GetName()} has missing SegmentAlgorithmName.")


def _tag(segment: Any, name: str) -> str:
    value = vtk.mutable("")
    return str(value) if segment.GetTag(name, value) else ""


def _hierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
