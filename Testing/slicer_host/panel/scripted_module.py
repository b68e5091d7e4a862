"""The base classes of scripted modules, with what modules use of them.

Held against `Base/Python/slicer/ScriptedLoadableModule.py` of Slicer 5.10.0 and 5.13. Left out: the developer section
and screenshots.
"""

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path
from typing import Any

import slicer

_UNLOADED = "moduleAboutToBeUnloaded(QString)"


class ScriptedLoadableModule:
    """Describes a module; `parent` must know the path of its file."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = parent.helpText = parent.acknowledgementText = ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)

    def runTest(self, msec: int = 100, **arguments: Any) -> None:
        """Run the class of tests that has the module's name."""
        case = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**arguments)


class ScriptedLoadableModuleWidget:
    """Builds the panel into `parent`."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect(_UNLOADED, self._onModuleAboutToBeUnloaded)

    def cleanup(self) -> None:
        """Slicer's does nothing."""

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            self._disconnect()

    def _disconnect(self) -> None:
        slicer.app.moduleManager().disconnect(_UNLOADED, self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        """Slicer adds its developer section here."""

    def onReload(self) -> None:
        """Load the module file again, clean up, and let the widget around the panel make another one."""
        path = slicer.util.modulePath(self.moduleName)
        spec = importlib.util.spec_from_file_location(self.moduleName, path)
        module = sys.modules[self.moduleName] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.cleanup()
        self._disconnect()
        for child in self.parent.children():
            if hasattr(child, "hide"):
                child.hide()
        while self.layout.count():
            self.layout.takeAt(0)
        self.parent.reload()


class ScriptedLoadableModuleLogic:
    """Finds the module's parameter node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            return slicer.mrmlScene.AddNode(self.createParameterNode())
        if node.GetAttribute("ModuleName") != self.moduleName:  # closing the scene may have taken it
            node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the self-test."""
