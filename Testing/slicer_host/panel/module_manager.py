"""Stand-in for `qSlicerModuleManager` with the one module under test, and for its entry in `slicer.modules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qmrml
import qt
import slicer


class qSlicerScriptedLoadableModuleWidget(qmrml.qMRMLWidget):  # noqa: N801
    """The widget around a panel that is written in Python: what the panel has as its `parent`."""

    isEntered = False

    def self(self) -> Any:
        """Return the panel: the object of the module's own class."""
        return self.panel


class LoadedModule:
    """What `slicer.modules.<name>` is: knows the file and the widget of a module."""

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

    def unload(self, name: str) -> None:
        """What the application does with each module when it closes."""
        self.moduleAboutToBeUnloaded.emit(name)
        if hasattr(slicer.modules, name.lower()):
            delattr(slicer.modules, name.lower())

    def _signal(self, signature: str) -> Any:
        return getattr(self, signature.partition("(")[0])


def publish() -> None:
    """Put the class where `slicer.util` looks for it."""
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
