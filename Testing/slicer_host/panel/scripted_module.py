"""The base classes of scripted modules, with what the module uses of them."""

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path
from typing import Any

import slicer


class ScriptedLoadableModule:
    """Describes a module."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """Builds the panel into `parent`."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def cleanup(self) -> None:
        """Slicer's does nothing."""

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            self._disconnect()

    def _disconnect(self) -> None:
        slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        return str(Path(sys.modules[type(self).__module__].__file__).parent / "Resources" / name)

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

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the self-test."""
