"""The mouse of a person: presses and releases at places on the screen, on widgets that can be seen and used."""

from __future__ import annotations

from typing import Any

import qt
from PySide6.QtTest import QTest

_ARROW_PX = 6


def click(widget: Any, position: Any = None) -> None:
    """Click a widget, in the middle if no place is given; AssertionError where a person could not."""
    assert widget.isVisible(), f"{widget.objectName} is not to be seen"
    assert widget.isEnabled(), f"{widget.objectName} is disabled: {widget.toolTip}"
    QTest.mouseClick(widget, qt.Qt.LeftButton, qt.Qt.NoModifier, position or widget.rect.center())


def click_box(box: Any) -> None:
    """Click the square of a check box: the space right of its text is no part of it."""
    click(box, qt.QPoint(_ARROW_PX, box.rect.center().y()))


def click_link(label: Any) -> None:
    """Click here and there on a label, from its end, until a link is hit."""
    qt.QApplication.processEvents()  # a new text may take more lines
    hits: list[str] = []
    label.linkActivated.connect(hits.append)
    for y in range(label.height - 3, 0, -6):
        for x in range(label.width - 3, 0, -12):
            click(label, qt.QPoint(x, y))
            if hits:
                label.linkActivated.disconnect(hits.append)
                return
    raise AssertionError(f"no link in {label.text!r}")


def click_item(view: Any, index: Any, *, square: bool = False, double: bool = False) -> None:
    """Click an item of a table, tree or list, or the square in it; double for a double click."""
    view.scrollTo(index)
    place = view.visualRect(index)
    position = qt.QPoint(place.left() + _ARROW_PX, place.center().y()) if square else place.center()
    click(view.viewport(), position)
    if double:
        QTest.mouseDClick(view.viewport(), qt.Qt.LeftButton, qt.Qt.NoModifier, position)


def choose(combo: Any, text: str) -> None:
    """Open a list and click the entry of this text."""
    click(combo)
    view = combo.view()
    QTest.qWaitForWindowExposed(view.window())
    number = combo.findText(text)
    assert number >= 0, f"{text!r} is not in the list"
    index = view.model().index(number, 0)
    # Qt ignores a release soon after the list has opened, unless the mouse has moved since.
    QTest.mouseMove(view.viewport(), view.visualRect(index).bottomRight())
    QTest.mouseMove(view.viewport(), view.visualRect(index).center())
    QTest.qWait(qt.QApplication.doubleClickInterval() + 50)
    click(view.viewport(), view.visualRect(index).center())
    assert not view.isVisible()


def choose_from_menu(button: Any, text: str, *, arrow: bool = False) -> list[str]:
    """Click a button with a menu, or its arrow, and then the entry of this text; returns all entries."""
    seen: list[str] = []

    def pick() -> None:
        menu = qt.QApplication.activePopupWidget()
        if menu is None:
            return
        seen.extend(action.text for action in menu.actions())
        found = [action for action in menu.actions() if action.text == text]
        if found:
            click(menu, menu.actionGeometry(found[0]).center())
        else:
            menu.close()

    qt.QTimer.singleShot(100, pick)  # the menu has an event loop of its own
    click(button, qt.QPoint(button.width - _ARROW_PX, button.rect.center().y()) if arrow else None)
    assert seen, "no menu opened"
    assert text in seen
    return seen


class ClickRecorder(qt.QObject):
    """Remembers which widgets a mouse button was pressed on."""

    def __init__(self) -> None:
        super().__init__()
        self._clicked: list[Any] = []
        qt.QApplication.instance().installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == qt.QEvent.MouseButtonPress and isinstance(watched, qt.QWidget):
            self._clicked.append(watched)
        return False

    def saw(self, widget: Any) -> bool:
        """Return whether the widget, or one inside it, was clicked."""
        return any(one is widget or widget.isAncestorOf(one) for one in self._clicked)

    def close(self) -> None:
        qt.QApplication.instance().removeEventFilter(self)
