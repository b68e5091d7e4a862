"""The little of Slicer's application object that MRML work needs, around the real classes of the `slicer-core` wheel.

`slicer-core` has the scene, the nodes, the module logics and `slicer.util`, but no application. `SceneHost` makes
`slicer.mrmlScene`, `slicer.modules.<name>.logic()` and `slicer.app` exist, and reads and writes files with the real
storage nodes. The tests and the demo run on it; the extension itself needs nothing of it.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import vtk  # the whole of VTK before slicer: it registers the object factories

import slicer  # isort: skip

_AUTO_WINDOW = 8  # option of vtkSlicerVolumesLogic

_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}
_ENDINGS = {"vtkMRMLSegmentationNode": "seg.nrrd", "vtkMRMLTextNode": "txt"}


class SceneHost:
    """One MRML scene with its logics, published as `slicer.mrmlScene`, `slicer.modules` and `slicer.app`.

    The newest host is the one that `slicer.mrmlScene` means.

    Example:
        >>> host = SceneHost()
        >>> host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode").GetName()
        'Segmentation'
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="scene_host_"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.scene = self._makeScene()
        self._application = self._makeApplicationLogic()
        self.logics = {name.lower(): self._addLogic(name, class_name) for name, class_name in _LOGICS.items()}
        self.publish()

    def publish(self) -> None:
        """Be the one that `slicer.mrmlScene`, `slicer.modules` and `slicer.app` mean, also after another was made."""
        slicer.mrmlScene = self.scene
        slicer.modules = SimpleNamespace(
            **{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in self.logics.items()}
        )
        slicer.app = SimpleNamespace(
            applicationLogic=lambda: self._application,
            processEvents=lambda: None,
            pauseRender=lambda: None,
            resumeRender=lambda: None,
            testingEnabled=lambda: True,
            applicationName="Slicer",
            translate=lambda _, text: text,
            temporaryPath=str(self.folder),
        )

    def loadVolume(self, path: Path, name: str = "") -> Any:
        """Read an image file into a scalar volume node."""
        node = self.logics["volumes"].AddArchetypeVolume(str(path), name or path.name.split(".")[0], _AUTO_WINDOW)
        return self._checked(node, "read", path)

    def loadSegmentation(self, path: Path, name: str = "") -> Any:
        """Read a `.seg.nrrd` file into a segmentation node."""
        name = name or path.name.split(".")[0]
        node = self.logics["segmentations"].LoadSegmentationFromFile(str(path), False, name, None)
        return self._checked(node, "read", path)

    def saveNode(self, node: Any, path: Path) -> None:
        """Write a node with its default storage node."""
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(str(path))
        storage = node.GetStorageNode()
        storage.SetFileName(str(path))
        storage.SetUseCompression(True)
        self._checked(storage.WriteData(node), "write", path)

    def saveScene(self, path: Path) -> None:
        """Write the scene with all its data, as `.mrb`, or as `.mrml` with the data in files beside it.

        As in Slicer, no event says that a scene is saved.
        """
        if path.suffix == ".mrb":
            self._checked(self.scene.WriteToMRB(str(path), None, None), "write", path)
            return
        for number in range(self.scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
            node = self.scene.GetNthNodeByClass(number, "vtkMRMLStorableNode")
            if node.GetSaveWithScene() and not node.IsA("vtkMRMLColorNode"):
                name = re.sub(r"\W+", "_", f"{node.GetID()}_{node.GetName()}")
                self.saveNode(node, path.parent / f"{name}.{_ENDINGS.get(node.GetClassName(), 'nrrd')}")
        self.scene.SetRootDirectory(str(path.parent))
        self._checked(self.scene.Commit(str(path)), "write", path)

    def loadScene(self, path: Path) -> None:
        """Replace the scene by what was saved."""
        if path.suffix == ".mrb":
            self._checked(self.scene.ReadFromMRB(str(path), True, None), "read", path)
            return
        self.scene.SetURL(str(path))
        self._checked(self.scene.Connect(), "read", path)

    def _makeScene(self) -> Any:
        scene = slicer.vtkMRMLScene()
        scene.SetRootDirectory(str(self.folder))
        # Without a cache folder for remote files, .mrb files are not read, though nothing remote is in them.
        cache = slicer.vtkCacheManager()
        cache.SetRemoteCacheDirectory(str(self.folder / "RemoteIO"))
        manager = slicer.vtkDataIOManager()
        manager.SetCacheManager(cache)
        scene.SetCacheManager(cache)
        scene.SetDataIOManager(manager)
        return scene

    def _makeApplicationLogic(self) -> Any:
        (self.folder / "share" / "ColorFiles").mkdir(parents=True)
        logic = slicer.vtkSlicerApplicationLogic()
        logic.SetTemporaryPath(str(self.folder))
        logic.SetHomeDirectory(str(self.folder))
        logic.SetShareDirectory("share")
        logic.SetMRMLScene(self.scene)
        return logic

    def _addLogic(self, name: str, class_name: str) -> Any:
        logic = getattr(slicer, class_name)()
        if name == "Terminologies":
            logic.SetModuleShareDirectory(str(terminologyFolder() or self.folder))
        logic.SetMRMLApplicationLogic(self._application)
        logic.SetMRMLScene(self.scene)
        self._application.SetModuleLogic(name, logic)
        return logic

    @staticmethod
    def _checked(result: Any, verb: str, path: Path) -> Any:
        if not result:
            raise OSError(f"Slicer's classes could not {verb} {path}.")
        return result


def terminologyFolder() -> Path | None:
    """Return the folder of Slicer's terminology files that trame-slicer ships, if it is installed."""
    spec = importlib.util.find_spec("trame_slicer")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "resources" / "terminologies"
    return folder if folder.is_dir() else None


def quiet() -> None:
    """Keep VTK's remarks (what is missing without an application, what is put into a .mrb) off the console."""
    vtk.vtkObject.GlobalWarningDisplayOff()
    window = vtk.vtkFileOutputWindow()
    window.SetFileName(os.devnull)
    vtk.vtkOutputWindow.SetInstance(window)
