"""The part of `slicer.parameterNodeWrapper` that panels use, as strict as Slicer's.

Values live in a real `vtkMRMLScriptedModuleNode`: node references as references, all others as text, enums by name.
Held against `Base/Python/slicer/parameterNodeWrapper/wrapper.py` and `serializers.py` of Slicer 5.10.0 and 5.13. Where
they differ the harsher is imitated: in 5.10, the observer of `connectGui` stays at the node after `disconnectGui`. Left
out: parameter packs, containers, unions, paths, the factory of widgets.
"""

from __future__ import annotations

import typing
import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import qt
import slicer
import vtk
from gui_connectors import Connector, connector_of
from parameter_annotations import Validator, split
from slicer.util import NodeModify

_PROPERTY = "SlicerParameterName"
_NO_DEFAULT = object()


def parameterNodeWrapper(cls: type) -> type:
    """Turn the annotated class into one whose attributes are kept in a parameter node.

    Annotations are looked up in the globals of the class's module, as those of Slicer are.

    Raises:
        NameError: An annotation names what the module does not have.
        TypeError: Slicer has no serializer for a type.
        ValueError: A parameter has the name of a method of the wrapper.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {name: _Parameter(name, hint, getattr(cls, name, _NO_DEFAULT)) for name, hint in hints.items()}
    for name in parameters:
        setattr(cls, name, _attribute(name))
    for name in vars(_Wrapper):
        if not name.startswith("__"):
            if hasattr(cls, name):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            setattr(cls, name, vars(_Wrapper)[name])
    cls.allParameters = parameters
    cls.__init__ = _Wrapper.__init__
    return cls


def _attribute(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


class _Parameter:
    """Reader and writer of one parameter."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        self.name, self.hint = name, hint
        self.kind, annotations = split(hint)
        self._validators = [annotation for annotation in annotations if isinstance(annotation, Validator)]
        self._is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        self._is_enum = isinstance(self.kind, type) and issubclass(self.kind, Enum)
        if not (self._is_node or self._is_enum or self.kind in (bool, int, float, str)):
            raise TypeError(f"Unable to create serializer for type: {self.kind}")
        self.default = self._default() if default is _NO_DEFAULT else default

    def _default(self) -> Any:
        if self._is_enum:
            return next(iter(self.kind))
        return None if self._is_node else self.kind(0) if self.kind is not str else ""

    def write(self, node: Any, value: Any) -> None:
        accepted = (int, float) if self.kind is float else self.kind
        if value is None and not self._is_node:
            raise ValueError("Value must not be None")
        if value is not None and not isinstance(value, accepted):
            raise TypeError(f"Value must be of type '{accepted}', is type '{type(value)}' value '{value}'")
        for validator in self._validators:
            validator.validate(value)
        if self._is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, value.name if self._is_enum else str(value))

    def read(self, node: Any) -> Any:
        if not self.is_in(node):
            self.write(node, self.default)
        if self._is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self._is_enum:
            if text not in self.kind.__members__:
                raise ValueError(f"Found {text!r} in parameter node but it is not a name in {self.kind!r}")
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)

    def is_in(self, node: Any) -> bool:
        return bool(node.HasParameter(self.name))


class _Value:
    """The value of one parameter, kept here and read again when the node has changed by other hands."""

    def __init__(self, parameter: _Parameter, node: Any) -> None:
        self._parameter, self._node = parameter, node
        self._writing = False
        if not parameter.is_in(node):
            parameter.write(node, parameter.default)
        self._value = parameter.read(node)
        myself = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: myself()._read())

    def __del__(self) -> None:
        if hasattr(self, "_tag"):
            self._node.RemoveObserver(self._tag)

    def _read(self) -> None:
        if not self._writing:
            self._value = self._parameter.read(self._node)

    def get(self) -> Any:
        return self._value

    def set(self, value: Any) -> None:
        self._writing = True
        try:
            with NodeModify(self._node):
                self._parameter.write(self._node, value)
                self._value = self._parameter.read(self._node)
        finally:
            self._writing = False


class _Wrapper:
    """The methods that a class of parameters is given."""

    allParameters: dict[str, _Parameter]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._connectors: dict[int, dict[str, Connector]] = {}
        self._tag = 0
        self._updating = False
        self._values = {name: _Value(parameter, parameterNode) for name, parameter in self.allParameters.items()}

    def getValue(self, name: str) -> Any:
        return _known(self._values, name).get()

    def setValue(self, name: str, value: Any) -> None:
        _known(self._values, name).set(value)

    def dataType(self, name: str) -> Any:
        return _known(self.allParameters, name).hint

    def isCached(self, name: str) -> bool:
        return bool(_known(self._values, name))

    def default(self, name: str) -> Any:
        return _known(self.allParameters, name).default

    def connectGui(self, gui: Any) -> int:
        """Connect every widget that names a parameter; returns a tag for `disconnectGui`."""
        widgets: Iterable[Any] = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else vars(gui).values()
        named = {widget.property(_PROPERTY): widget for widget in widgets if widget.property(_PROPERTY)}
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Connect parameters to widgets; returns a tag for `disconnectGui`.

        Raises:
            ValueError: There is no parameter of that name.
            RuntimeError: Slicer does not connect such a widget to the type.
        """
        for name in mapping:
            _known(self.allParameters, name)
        connectors = {name: connector_of(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag, self._tag = self._tag, self._tag + 1
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(_writer(self, name, connector))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _show(self))
        return tag

    def disconnectGui(self, tag: int) -> None:
        """Let go of the widgets. The observer at the node stays, as in Slicer 5.10."""
        for connector in self._connectors.pop(tag, {}).values():
            connector.disconnect()

    def StartModify(self) -> int:
        return int(self.parameterNode.StartModify())

    def EndModify(self, was: int) -> None:
        self.parameterNode.EndModify(was)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _known(named: dict[str, Any], name: str) -> Any:
    if name not in named:
        raise ValueError(f"Cannot find a param with the given name: {name}; there are {sorted(named)}")
    return named[name]


def _writer(parameters: Any, name: str, connector: Connector) -> Callable[[], None]:
    def write() -> None:
        with NodeModify(parameters):
            if not parameters._updating:
                parameters.setValue(name, connector.read())

    return write


def _show(parameters: Any) -> None:
    """Write every parameter to its widget, whether it has changed or not."""
    if parameters._updating:
        return
    parameters._updating = True
    try:
        with NodeModify(parameters):
            for connectors in parameters._connectors.values():
                for name, connector in connectors.items():
                    connector.write(parameters.getValue(name))
    finally:
        parameters._updating = False
