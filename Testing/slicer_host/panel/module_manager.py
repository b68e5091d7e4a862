"""Stand-in for `qSlicerModuleManager` with the one module under test, and for its entry in `slicer.modules`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import qmrml
import qt
import slicer


class qSlicerScriptedLoadableModuleWidget(qmrml.qMRMLWidget):  # noqa: N801
    """The widget around a panel that is written in Python: what the panel has as its `parent`."""

    isEntered = False

    def setModule(self, module: Any) -> None:
        """Make the panel by its class in the module file."""
        self._name = module.__name__
        self._panel = getattr(module, f"{self._name}Widget")(self)
        setattr(slicer.modules, f"{self._name}Widget", self._panel)

    def self(self) -> Any:
        """Return the panel: the object of the module's own class."""
        return self._panel

    def setup(self) -> None:
        self._panel.setup()

    def enter(self) -> None:
        self.isEntered = True
        self._panel.enter()

    def reload(self) -> None:
        """Make the panel anew, by the module that was loaded last; nobody enters it."""
        self.setModule(sys.modules[self._name])
        self.setup()


class LoadedModule:
    """Stand-in for `slicer.modules.<name>`, with the file and the widget of a module."""

    def __init__(self, name: str, path: str, widget: qSlicerScriptedLoadableModuleWidget) -> None:
        self.name, self.path = name, path
        self._widget = widget

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        return self._widget


class ModuleManager(qt.QObject):
    """Says when a module is about to be unloaded; signals are named as in C++, by their signature."""

    moduleAboutToBeUnloaded = qt.Signal(str)

    def connect(self, signature: str, slot: Callable[..., Any]) -> None:
        self._signal(signature).connect(slot)

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> None:
        self._signal(signature).disconnect(slot)

    def module(self, name: str) -> LoadedModule | None:
        return getattr(slicer.modules, name.lower(), None)

    def load(self, module: Any, widget: qSlicerScriptedLoadableModuleWidget) -> None:
        """Add a module to `slicer.modules`."""
        name = module.__name__
        setattr(slicer.modules, name.lower(), LoadedModule(name, module.__file__, widget))
        widget.setModule(module)

    def unload(self, name: str) -> None:
        """Clean up each module, as the application does when it closes."""
        self.moduleAboutToBeUnloaded.emit(name)
        for key in (name.lower(), f"{name}Widget"):
            if hasattr(slicer.modules, key):
                delattr(slicer.modules, key)

    def _signal(self, signature: str) -> Any:
        return getattr(self, signature.partition("(")[0])


def publish() -> None:
    """Put the class where `slicer.util` looks for it."""
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
