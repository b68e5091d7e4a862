"""Stand-ins for Slicer's DICOM modules: a database that is a list of folders, an exporter that writes with highdicom.

What Slicer's own reader, database and exporter do is seen with `DSM_SLICER_SOURCE`. The exporter takes names, codes,
algorithm and masks from the scene, as Slicer's does, so that what is read in the file is what our side has put there.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import slicer
from dicom_exporter import DICOMSegmentationExporter

from dsm.core.segment_tags import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG
from dsm.io.dicom import choose_series
from dsm.io.dicom_seg import write_dicom_seg
from dsm.io.image import read_volume
from dsm.io.segment_record import SegmentRecord
from DSMSegmentLib.scene.mrml import maskOnVolume, setVolume, volumeFromNode
from DSMSegmentLib.scene.segment_tags import tagOf

_FOLDERS: list[Path] = []


class TemporaryDICOMDatabase:
    """See `DICOMLib.DICOMUtils`: the database of the application for a while."""

    def __init__(self, directory: str = "") -> None:
        self._directory = directory

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        _FOLDERS.clear()


def importDicom(dicomDataDir: str, dicomDatabase: Any = None) -> bool:
    """See `DICOMLib.DICOMUtils`."""
    _FOLDERS.append(Path(dicomDataDir))
    return True


def loadSeriesByUID(seriesUIDs: list[str]) -> list[str]:
    """See `DICOMLib.DICOMUtils`; series of images only, under a study, as Slicer puts them."""
    loaded = []
    for folder in _FOLDERS:
        series = choose_series(folder)
        if series.uid in seriesUIDs:
            loaded.append(_load(folder, _instance_uids(series.files)))
    return loaded


class DICOMSegmentationPluginClass(DICOMSegmentationExporter):
    """See Slicer's plug-in of this name."""

    def fileForInstance(self, uid: str) -> str:
        return _files().get(uid, "")

    def write(self, path: Path, node: Any, segment_ids: list[str], volume: Any) -> None:
        files = [Path(file) for file in _files().values()]
        write_dicom_seg(path, _records(node, segment_ids, volume), volumeFromNode(volume), files)


def modules() -> dict[str, types.ModuleType]:
    """Return what `import` is to find."""
    utils, library, plugin = (
        types.ModuleType(name) for name in ("DICOMLib.DICOMUtils", "DICOMLib", "DICOMSegmentationPlugin")
    )
    vars(utils).update(
        TemporaryDICOMDatabase=TemporaryDICOMDatabase, importDicom=importDicom, loadSeriesByUID=loadSeriesByUID
    )
    vars(library).update(DICOMUtils=utils)
    vars(plugin).update(DICOMSegmentationPluginClass=DICOMSegmentationPluginClass)
    return {module.__name__: module for module in (utils, library, plugin)}


def _load(folder: Path, instance_uids: list[str]) -> str:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", folder.name)
    setVolume(node, read_volume(folder))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(instance_uids))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, node)
    return str(node.GetID())


def _files() -> dict[str, str]:
    """Return the files of the database by the UIDs of their instances."""
    files = [file for folder in _FOLDERS for file in choose_series(folder).files]
    return dict(zip(_instance_uids(files), map(str, files), strict=True))


def _instance_uids(files: Any) -> list[str]:
    import pydicom

    return [str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]


def _records(node: Any, segment_ids: list[str], volume: Any) -> list[SegmentRecord]:
    segmentation = node.GetSegmentation()
    records = []
    for segment_id in segment_ids:
        segment = segmentation.GetSegment(segment_id)
        red, green, blue = (round(255 * channel) for channel in segment.GetColor())
        tags = {name: tagOf(segment, name) for name in (ALGORITHM_TYPE_TAG, ALGORITHM_NAME_TAG)}
        mask = maskOnVolume(node, segment_id, volume)
        records.append(SegmentRecord(segment.GetName(), mask, (red, green, blue), segment.GetTerminology(), tags))
    return records
