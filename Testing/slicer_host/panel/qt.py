"""Qt as Slicer's Python has it (PythonQt), on top of PySide6: the `qt` module of the test host.

Only spelling is added: Qt properties are attributes (`label.text`, not `label.text()`), all classes are in one
namespace, and forms are loaded with the stand-ins for the widgets of CTK and Slicer. What the widgets do is Qt's own.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
# An attribute of these names would look to PySide6 like an override of the virtual function.
_VIRTUAL = {"sizeHint", "minimumSizeHint"}
_CUSTOM_WIDGETS: dict[str, type] = {}


def _property(cls: type, name: str) -> property | None:
    """Return the attribute for a Qt property, by the getter and setter that PySide6 has for it."""
    capital = name[0].upper() + name[1:]
    getters = (getattr(cls, key, None) for key in (name, f"is{capital}", f"has{capital}"))
    getter = next((found for found in getters if callable(found)), None)
    setter = getattr(cls, f"set{capital}", None)
    if type(getter).__name__ == "builtin_function_or_method":  # a static function of that name
        return None
    if getter is None:

        def getter(self: Any) -> Any:
            return QtCore.QObject.property(self, name)

    # Lambdas: PySide6's own functions would bind to the class.
    return property(lambda self: getter(self), (lambda self, value: setter(self, value)) if setter else None)  # noqa: PLW0108


def _spell(cls: type) -> None:
    """Make the Qt properties that a class declares itself attributes."""
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in _VIRTUAL and (made := _property(cls, name)):
            setattr(cls, name, made)


def _is_qobject(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, QtCore.QObject)


def _publish() -> None:
    for module in _MODULES:
        for name in dir(module):
            if not name.startswith("_"):
                globals().setdefault(name, getattr(module, name))
    classes = {value for module in _MODULES for value in vars(module).values() if _is_qobject(value)}
    for cls in sorted(classes, key=lambda cls: len(cls.__mro__)):
        if not issubclass(cls, QtWidgets.QLayout):
            _spell(cls)
    QtCore.QObject.name = QtCore.QObject.objectName
    QtCore.QObject.className = lambda self: self.metaObject().className()


def register_widget(cls: type) -> type:
    """Let forms use a stand-in by its class name."""
    _CUSTOM_WIDGETS[cls.__name__] = cls
    return cls


_publish()


class QUiLoader(QtUiTools.QUiLoader):
    """Loads forms with the registered stand-ins; a class that is neither Qt's nor registered is an error."""

    def load(self, file: QtCore.QFile, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Load an open form file and connect what its `<connections>` say: they name types that Qt cannot convert."""
        data = bytes(file.readAll().data())
        form = ET.fromstring(data)  # noqa: S314  (our own file)
        used = {widget.get("class") for widget in form.iter("widget")}
        unknown = used - set(self.availableWidgets()) - set(_CUSTOM_WIDGETS)
        if unknown:
            raise NotImplementedError(f"The host has no stand-in for {sorted(unknown)}.")
        connections = [
            [connection.findtext(key) for key in ("sender", "signal", "receiver", "slot")]
            for connection in form.iter("connection")
        ]
        for element in form.findall("connections"):
            form.remove(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(form))
        buffer.open(QtCore.QIODevice.ReadOnly)
        widget = super().load(buffer, parent)
        for sender, signal, receiver, slot in connections:
            getattr(_named(widget, sender), signal.split("(")[0]).connect(
                getattr(_named(widget, receiver), slot.split("(")[0])
            )
        return widget

    def createWidget(self, name: str, parent: QtWidgets.QWidget | None = None, object_name: str = "") -> Any:
        """Make a widget of a form."""
        cls = _CUSTOM_WIDGETS.get(name)
        if cls is None:
            return super().createWidget(name, parent, object_name)
        widget = cls(parent)
        widget.setObjectName(object_name)
        return widget


def _named(root: QtWidgets.QWidget, name: str) -> Any:
    return root if root.objectName == name else root.findChild(QtWidgets.QWidget, name)
