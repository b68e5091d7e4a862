"""CTK's DICOM database and indexer, and the exportable of Slicer's DICOM module, as far as `DICOMLib` calls them.

The index is in memory, the values are read by pydicom. Slicer's own readers, plug-ins and exporter work on it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import ctk
import pydicom
import slicer

_SERIES = "SeriesInstanceUID"


class ctkDICOMDatabase:  # noqa: N801
    """Files by their UIDs; every value is text, that of a missing element is empty."""

    def __init__(self) -> None:
        self.isOpen = False
        self.databaseFilename = ""
        self._heads: dict[str, pydicom.Dataset] = {}

    @property
    def databaseDirectory(self) -> str:
        return str(Path(self.databaseFilename).parent)

    def openDatabase(self, file_name: str) -> None:
        self.databaseFilename, self.isOpen = file_name, True

    def closeDatabase(self) -> None:
        self.isOpen = False
        self._heads.clear()

    def initializeDatabase(self) -> bool:
        self._heads.clear()
        return True

    def insert(self, file: str, storeFile: bool = True) -> None:
        """Add an instance that is not there yet, by default as a copy in the folder of the database."""
        head = pydicom.dcmread(file)
        if self.fileForInstance(head.SOPInstanceUID):
            return
        if storeFile:
            folder = Path(self.databaseDirectory, "dicom")
            folder.mkdir(parents=True, exist_ok=True)
            file = shutil.copyfile(file, folder / head.SOPInstanceUID)
        self._heads[str(file)] = head

    def fileForInstance(self, uid: str) -> str:
        return next((path for path, head in self._heads.items() if uid == head.SOPInstanceUID), "")

    def seriesForFile(self, file: str) -> str:
        return str(self._heads[str(file)].get(_SERIES, ""))

    def filesForSeries(self, uid: str, hits: int = -1) -> tuple[str, ...]:
        found = [path for path, head in self._heads.items() if uid == head.get(_SERIES)]
        return tuple(found if hits < 0 else found[:hits])

    def fileValue(self, file: str, tag: str) -> str:
        element = self._heads[str(file)].get(_parsed(tag)) if str(file) in self._heads else None
        if element is None or element.VR == "SQ" or element.value is None:
            return ""
        values = element.value if element.VM > 1 else [element.value]
        return "\\".join(str(value) for value in values)

    def fileValueExists(self, file: str, tag: str) -> bool:
        return _parsed(tag) in self._heads[str(file)]

    def instanceValue(self, uid: str, tag: str) -> str:
        return self.fileValue(self.fileForInstance(uid), tag)


class ctkDICOMIndexer:  # noqa: N801
    """Adds all DICOM files of a folder."""

    def addDirectory(self, database: ctkDICOMDatabase, folder: str, copy: bool = False) -> None:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and pydicom.misc.is_dicom(path):
                database.insert(str(path), copy)

    def addFile(self, database: ctkDICOMDatabase, file: str) -> None:
        database.insert(file)

    def waitForImportFinished(self) -> None:
        """All is done already."""


class qSlicerDICOMExportable:  # noqa: N801
    """Exportable of a plug-in; a tag that was not set is empty."""

    def __init__(self) -> None:
        self.name = self.tooltip = self.pluginClass = self.directory = ""
        self.confidence, self.subjectHierarchyItemID = 0.0, 0
        self._tags: dict[str, str] = {}

    def setTag(self, name: str, value: str) -> None:
        self._tags[name] = value

    def tag(self, name: str) -> str:
        return self._tags.get(name, "")


def publish() -> None:
    """Be the application's database, empty, with the plug-ins that Slicer loads series and segmentations with."""
    import DICOMScalarVolumePlugin
    import DICOMSegmentationPlugin

    ctk.ctkDICOMDatabase, ctk.ctkDICOMIndexer = ctkDICOMDatabase, ctkDICOMIndexer
    slicer.qSlicerDICOMExportable = qSlicerDICOMExportable
    slicer.dicomDatabase = ctkDICOMDatabase()
    slicer.dicomDatabaseDirectorySettingsKey = "DatabaseDirectory"
    slicer.modules.DICOMInstance = SimpleNamespace()  # where the reader of volumes leaves what it used
    slicer.modules.dicomPlugins = {
        "DICOMScalarVolumePlugin": DICOMScalarVolumePlugin.DICOMScalarVolumePluginClass,
        "DICOMSegmentationPlugin": DICOMSegmentationPlugin.DICOMSegmentationPluginClass,
    }
    shown = SimpleNamespace(
        displayPatientIDInSubjectHierarchyItemName=True,
        displayPatientBirthDateInSubjectHierarchyItemName=True,
        displayStudyIDInSubjectHierarchyItemName=True,
        displayStudyDateInSubjectHierarchyItemName=True,
    )
    slicer.qSlicerSubjectHierarchyPluginHandler = SimpleNamespace(instance=lambda: shown)


def _parsed(tag: str) -> tuple[int, int]:
    group, element = tag.split(",")
    return int(group, 16), int(element, 16)
