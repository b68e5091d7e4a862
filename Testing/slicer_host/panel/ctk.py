"""Stand-ins for the two CTK widgets of the panel: a section that folds, and a slider with a number."""

from __future__ import annotations

import qt
from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QToolButton, QWidget

_HEADER_PX = 24
_STEPS = 1000


@qt.register_widget
class ctkCollapsibleButton(QWidget):  # noqa: N801
    """A heading that shows and hides the widgets below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._header = QToolButton(self)
        self._header.setToolButtonStyle(Qt.ToolButtonTextBesideIcon)
        self._header.setArrowType(Qt.DownArrow)
        self._header.clicked.connect(lambda: self.setCollapsed(not self._collapsed))
        self.setContentsMargins(4, _HEADER_PX + 4, 4, 4)

    def resizeEvent(self, event: object) -> None:
        self._header.setGeometry(0, 0, self.width, _HEADER_PX)
        super().resizeEvent(event)

    def setText(self, text: str) -> None:
        self._header.setText(text)

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._header.setArrowType(Qt.RightArrow if collapsed else Qt.DownArrow)
        for child in self.children():
            if isinstance(child, QWidget) and child is not self._header:
                # As CTK: what a section hid for its own reasons stays hidden when it unfolds.
                if collapsed:
                    child.setProperty("wasHidden", child.isHidden())
                child.setVisible(not collapsed and not child.property("wasHidden"))
        self.setMaximumHeight(_HEADER_PX + 4 if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    def childEvent(self, event: object) -> None:
        super().childEvent(event)
        child = event.child()
        if self._collapsed and event.added() and isinstance(child, QWidget) and child is not self._header:
            child.setVisible(False)

    text = Property(str, lambda self: self._header.text, setText)
    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed)


@qt.register_widget
class ctkSliderWidget(QWidget):  # noqa: N801
    """A slider and a spin box that hold the same number."""

    valueChanged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QSlider(Qt.Horizontal)
        self._slider.setRange(0, _STEPS)
        self._box = QDoubleSpinBox()
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self._slider.valueChanged.connect(self._from_slider)
        self._box.valueChanged.connect(self._from_box)

    def _from_slider(self, step: int) -> None:
        self._box.setValue(self._box.minimum + (self._box.maximum - self._box.minimum) * step / _STEPS)

    def _from_box(self, value: float) -> None:
        self._slider.blockSignals(True)
        self._slider.setValue(round(_STEPS * (value - self._box.minimum) / (self._box.maximum - self._box.minimum)))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _number(name: str, kind: type) -> Property:  # noqa: N805
        setter = f"set{name[0].upper()}{name[1:]}"
        return Property(
            kind, lambda self: getattr(self._box, name), lambda self, value: getattr(self._box, setter)(value)
        )

    value = _number("value", float)
    minimum = _number("minimum", float)
    maximum = _number("maximum", float)
    singleStep = _number("singleStep", float)
    decimals = _number("decimals", int)
