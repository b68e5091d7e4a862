"""The part of `slicer.parameterNodeWrapper` that the panel uses, written to its documented interface.

Values live in a real `vtkMRMLScriptedModuleNode`: node references as references, all others as text, enums by name.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

import slicer
import vtk
from slicer.util import NodeModify


def parameterNodeWrapper(cls: type) -> type:
    """Turn the annotated class into one whose attributes are kept in a parameter node."""
    types = typing.get_type_hints(cls)
    defaults = {name: getattr(cls, name, None) for name in types}
    for name, kind in types.items():
        setattr(cls, name, _attribute(name, kind))

    def __init__(self: Any, node: Any) -> None:  # noqa: N807
        self.parameterNode = node
        self._connected: dict[int, list[Callable[[], None]]] = {}
        self._updating = False
        for name, default in defaults.items():
            if default is not None and node.GetParameter(name) == "":
                setattr(self, name, default)

    cls.__init__ = __init__
    cls.connectGui = _connect_gui
    cls.disconnectGui = _disconnect_gui
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, was: self.parameterNode.EndModify(was)
    cls.AddObserver = lambda self, *args: self.parameterNode.AddObserver(*args)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.HasObserver = lambda self, *args: self.parameterNode.HasObserver(*args)
    return cls


def _attribute(name: str, kind: type) -> property:
    if issubclass(kind, slicer.vtkMRMLNode):
        return property(
            lambda self: self.parameterNode.GetNodeReference(name),
            lambda self, node: self.parameterNode.SetNodeReferenceID(name, node.GetID() if node else None),
        )
    if issubclass(kind, Enum):
        return property(
            lambda self: kind[self.parameterNode.GetParameter(name)],
            lambda self, value: self.parameterNode.SetParameter(name, value.name),
        )
    if kind is bool:
        return property(
            lambda self: self.parameterNode.GetParameter(name) == "True",
            lambda self, value: self.parameterNode.SetParameter(name, str(bool(value))),
        )
    return property(
        lambda self: kind(self.parameterNode.GetParameter(name)),
        lambda self, value: self.parameterNode.SetParameter(name, str(value)),
    )


def _connect_gui(self: Any, gui: Any) -> int:
    """Connect every widget of `gui` that has the property `SlicerParameterName`; returns a tag."""
    widgets = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
    updates = [_connect(self, name, widget) for name, widget in widgets.items() if name]
    tag = len(self._connected)
    self._connected[tag] = updates
    _update_gui(self)
    self._tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _update_gui(self))
    return tag


def _disconnect_gui(self: Any, tag: int) -> None:
    if self._connected.pop(tag, None) is not None:
        self.parameterNode.RemoveObserver(self._tag)
        self._updating = True  # a wrapper without a panel no longer listens to its widgets


def _update_gui(self: Any) -> None:
    if self._updating:
        return
    self._updating = True
    for updates in self._connected.values():
        for update in updates:
            update()
    self._updating = False


def _connect(self: Any, name: str, widget: Any) -> Callable[[], None]:
    """Let the widget write the parameter; returns what makes the widget show the parameter."""
    kind = type(getattr(self, name))
    read, write, changed = _binding(widget, kind)

    def on_changed(*_: Any) -> None:
        if not self._updating:
            with NodeModify(self):
                setattr(self, name, read())

    changed.connect(on_changed)
    return lambda: write(getattr(self, name)) if read() != getattr(self, name) else None


def _binding(widget: Any, kind: type) -> tuple[Callable[[], Any], Callable[[Any], None], Any]:
    name = type(widget).__name__
    if name == "qMRMLNodeComboBox":
        return widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged
    if name == "QTextEdit":
        return (lambda: widget.plainText), widget.setPlainText, widget.textChanged
    if name == "QCheckBox":
        return (lambda: widget.checked), widget.setChecked, widget.toggled
    if name == "ctkSliderWidget":
        return (lambda: widget.value), (lambda value: widget.setProperty("value", value)), widget.valueChanged
    if name == "QComboBox" and issubclass(kind, Enum):
        if widget.count == 0:
            for member in kind:
                widget.addItem(member.label(), member.name)
        return (
            lambda: kind[widget.currentData],
            lambda value: widget.setCurrentIndex(widget.findData(value.name)),
            widget.currentIndexChanged,
        )
    raise NotImplementedError(f"The host does not bind a {name}.")
