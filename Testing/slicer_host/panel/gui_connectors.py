"""Connectors of widgets and parameter types: the pairs that Slicer's `guiConnectors.py` accepts.

Held against `Base/Python/slicer/parameterNodeWrapper/guiConnectors.py` of Slicer 5.10.0 and 5.13. As there, the exact
class of the widget counts, connecting sets up the widget (range, decimals, items, node classes), and all writes but
that of a QLineEdit are unconditional. Left out: ranges, paths, colors, parameter packs and connectors of modules.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import ctk
import qmrml
import qt
import slicer
from parameter_annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, first, split

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1


class Connector:
    """Reads and writes one parameter in one widget.

    Args:
        read: Returns the value that the widget shows.
        write: Shows a value.
        changed: Signal of the widget; None where there is none.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None], changed: Any) -> None:
        self.read, self.write, self._changed = read, write, changed
        self._slot: Callable[..., None] | None = None

    def connect(self, callback: Callable[[], None]) -> None:
        """Call back at every change that the widget announces."""
        self._slot = lambda *_: callback()
        if self._changed is not None:
            self._changed.connect(self._slot)

    def disconnect(self) -> None:
        """Call back no more."""
        if self._changed is not None:
            self._changed.disconnect(self._slot)
        self._slot = None


def connector_of(widget: Any, hint: Any) -> Connector:
    """Return the connector of a widget to a parameter.

    Args:
        widget: Of a class that Slicer connects to the type.
        hint: Type of the parameter with its annotations.

    Raises:
        RuntimeError: Slicer connects no such pair, or asks for an annotation that is missing.
    """
    kind, annotations = split(hint)
    for kinds, classes, make in _PAIRS:
        if type(widget) in classes and (kind in kinds or any(_is(kind, base) for base in kinds)):
            return make(widget, kind, annotations)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{hint}' to widget type '{type(widget)}'.")


def _is(kind: Any, base: type) -> bool:
    return base in (Enum, slicer.vtkMRMLNode) and isinstance(kind, type) and issubclass(kind, base)


def _property(widget: Any, name: str, changed: Any, kind: Callable[[Any], Any] = lambda value: value) -> Connector:
    return Connector(lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, kind(value)), changed)


def _check_box(widget: Any, _kind: Any, _annotations: Any) -> Connector:
    return _property(widget, "checked", widget.stateChanged)


def _push_button(widget: Any, _kind: Any, _annotations: Any) -> Connector:
    widget.checkable = True
    return _property(widget, "checked", widget.toggled)


def _whole_number(widget: Any, _kind: Any, annotations: Any) -> Connector:
    low, high = _limits(annotations)
    if isinstance(widget, qt.QSlider) and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
    _set_step(widget, annotations)
    widget.setRange(_INT_MIN if low is None else low, _INT_MAX if high is None else high)
    return _property(widget, "value", widget.valueChanged)


def _number(widget: Any, kind: Any, annotations: Any) -> Connector:
    low, high = _limits(annotations)
    if isinstance(widget, ctk.ctkSliderWidget) and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    decimals = first(annotations, Decimals)
    if kind is int:
        widget.decimals = 0
    elif decimals is not None:
        widget.decimals = decimals.value
    _set_step(widget, annotations)
    widget.minimum = float("-inf") if low is None else low
    widget.maximum = float("inf") if high is None else high
    return _property(widget, "value", widget.valueChanged, kind)


def _limits(annotations: Any) -> tuple[float | None, float | None]:
    within = first(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    low, high = first(annotations, Minimum), first(annotations, Maximum)
    return (None if low is None else low.minimum), (None if high is None else high.maximum)


def _set_step(widget: Any, annotations: Any) -> None:
    step = first(annotations, SingleStep)
    if step is not None:
        widget.singleStep = step.value


def _list_of_choices(widget: Any, _kind: Any, annotations: Any) -> Connector:
    choice = first(annotations, Choice)
    if choice is None:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    return _list(widget, list(choice.choices), [str(value) for value in choice.choices])


def _list_of_members(widget: Any, kind: Any, _annotations: Any) -> Connector:
    label = getattr(kind, "label", lambda member: member.name)
    return _list(widget, list(kind), [label(member) for member in kind])


def _list(widget: Any, values: list[Any], labels: list[str]) -> Connector:
    """The items are made anew, without data; a value that is not among them is refused."""
    widget.clear()
    for text in labels:
        widget.addItem(text)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(lambda: values[widget.currentIndex], write, widget.currentIndexChanged)


def _line(widget: Any, _kind: Any, _annotations: Any) -> Connector:
    def write(text: str) -> None:
        if text != widget.text:
            widget.text = text

    return Connector(lambda: widget.text, write, widget.textChanged)


def _label(widget: Any, _kind: Any, _annotations: Any) -> Connector:
    return _property(widget, "text", None)


def _text(widget: Any, _kind: Any, _annotations: Any) -> Connector:
    return Connector(widget.toPlainText, widget.setPlainText, widget.textChanged)


def _node(widget: Any, kind: Any, _annotations: Any) -> Connector:
    widget.nodeTypes = [kind().GetClassName()]
    return Connector(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)


# The first that fits is taken: bool is an int to Python, and not to these.
_PAIRS: list[tuple[tuple[type, ...], tuple[type, ...], Callable[[Any, Any, Any], Connector]]] = [
    ((bool,), (qt.QCheckBox,), _check_box),
    ((bool,), (qt.QPushButton,), _push_button),
    ((int,), (qt.QSlider, qt.QSpinBox), _whole_number),
    ((float, int), (qt.QDoubleSpinBox, ctk.ctkSliderWidget), _number),
    ((int, float, str, bool), (qt.QComboBox,), _list_of_choices),
    ((Enum,), (qt.QComboBox,), _list_of_members),
    ((str,), (qt.QLineEdit,), _line),
    ((str,), (qt.QLabel,), _label),
    ((str,), (qt.QTextEdit,), _text),
    ((slicer.vtkMRMLNode,), (qmrml.qMRMLNodeComboBox,), _node),
]
