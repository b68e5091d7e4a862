"""Prompt field with completion and hints for each line."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dsm.text.prompt import split_prompts
from dsm.text.vocabulary import load_vocabulary
from DSMSegmentLib.application import qt
from DSMSegmentLib.panel.hints import PromptContext, hintLines

_MIN_CHARACTERS = 2
_MAX_COMPLETIONS = 12


class PromptEdit:
    """Turn a `QTextEdit` into a prompt field.

    Args:
        textEdit: One prompt a line.
        hintsLabel: Shows the hints; links in them are names of models.
        onSubmit: Called on Ctrl+Enter.
        onEdited: Called with the text after each change.
    """

    def __init__(
        self,
        textEdit: Any,
        hintsLabel: Any,
        onSubmit: Callable[[], None],
        onEdited: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._textEdit = textEdit
        self._hintsLabel = hintsLabel
        hintsLabel.setTextFormat(qt.Qt.RichText)
        self._onEdited = onEdited
        self._isTyped = True
        self._context = PromptContext()
        self._completed = ""
        self._completions = qt.QStringListModel()
        self._completer = qt.QCompleter()
        self._completer.setModel(self._completions)
        self._completer.setCompletionMode(qt.QCompleter.UnfilteredPopupCompletion)
        self._completer.setWidget(textEdit)
        self._completer.activated.connect(self._onActivated)
        self._popupKeys = _popupKeysClass()()
        self._popupKeys.popup, self._popupKeys.onActivated = self._completer.popup(), self._onActivated
        self._completer.popup().installEventFilter(self._popupKeys)
        self._shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+Return"), textEdit)
        self._shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        self._onSubmit = onSubmit
        self._shortcut.activated.connect(onSubmit)
        textEdit.textChanged.connect(self._onTextChanged)

    def close(self) -> None:
        """Disconnect from the widgets, which would otherwise keep this object and its owner alive."""
        self._textEdit.textChanged.disconnect(self._onTextChanged)
        self._shortcut.activated.disconnect(self._onSubmit)
        self._completer.activated.disconnect(self._onActivated)
        self._completer.popup().removeEventFilter(self._popupKeys)
        self._popupKeys.popup = self._popupKeys.onActivated = None
        self._completer.setWidget(None)

    def setContext(self, context: PromptContext) -> None:
        """Set the context of the hints."""
        if context != self._context:
            self._context = context
            self._showHints()

    def setText(self, text: str) -> None:
        """Replace the prompts, undoably; the same text does not move the cursor.

        Slicer's binding of parameters to a `QTextEdit` writes at every change of any parameter, which puts the cursor
        at the start of the text: this field must not be bound by its name in the form.
        """
        if text == self._textEdit.plainText:
            return
        cursor = self._textEdit.textCursor()
        cursor.select(qt.QTextCursor.Document)
        self._isTyped = False
        cursor.insertText(text)
        self._isTyped = True

    def append(self, *names: str) -> None:
        """Add prompts on their own lines, undoably in one step, without those that are present already."""
        lines = [line for line in self._textEdit.plainText.splitlines() if line.strip()]
        there = {prompt.casefold() for prompt in split_prompts(self._textEdit.plainText)}
        added = [name for name in names if name.casefold() not in there]
        if added:
            self.setText("\n".join([*lines, *added]))

    def _onTextChanged(self) -> None:
        self._showHints()
        self._onEdited(self._textEdit.plainText)
        if not self._isTyped:
            self._completer.popup().hide()
            return
        prompt, _ = self._prompt()
        names = load_vocabulary().complete(prompt, _MAX_COMPLETIONS) if len(prompt) >= _MIN_CHARACTERS else []
        if not names or prompt in (self._completed, names[0]) or not self._textEdit.focus:
            self._completer.popup().hide()
            return
        self._completions.setStringList(names)
        rectangle = self._textEdit.cursorRect()
        rectangle.setWidth(self._textEdit.width // 2)
        self._completer.complete(rectangle)

    def _onActivated(self, _chosen: Any = None) -> None:
        """Complete the current prompt with the chosen name."""
        name = self._completer.popup().currentIndex().data()
        self._completer.popup().hide()
        if not name:
            return
        self._completed = name
        prompt, start = self._prompt()
        cursor = self._textEdit.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(start + len(prompt), qt.QTextCursor.KeepAnchor)
        cursor.insertText(name)

    def _prompt(self) -> tuple[str, int]:
        """Return the prompt at the cursor and its start position; `;` and new lines separate prompts."""
        text = self._textEdit.plainText
        position = self._textEdit.textCursor().position()
        start = max(text.rfind(mark, 0, position) for mark in ";\n") + 1
        prompt = text[start:].partition("\n")[0].partition(";")[0]
        return prompt.strip(), start + len(prompt) - len(prompt.lstrip())

    def _showHints(self) -> None:
        lines = hintLines(self._textEdit.plainText, self._context, lambda hint: hint.html)
        self._hintsLabel.text = "<br>".join(lines)
        self._hintsLabel.visible = bool(lines)


@lru_cache(maxsize=1)  # Qt keeps a class for ever, and with it what its functions refer to
def _popupKeysClass() -> type:
    """Return the class of event filters for the list of completions; Qt is there only in the application."""

    class PopupKeys(qt.QWidget):  # type: ignore[misc]
        """A QWidget, as in Slicer's script repository: a Python class that filters events has to be one."""

        popup: Any = None
        onActivated: Callable[[], None] | None = None

        def eventFilter(self, _watched: Any, event: Any) -> bool:
            """Accept the marked completion on Enter and Tab instead of starting a new line."""
            if (
                self.onActivated is not None
                and event.type() == qt.QEvent.KeyPress
                and event.key() in (qt.Qt.Key_Return, qt.Qt.Key_Enter, qt.Qt.Key_Tab)
                and self.popup.currentIndex().row() >= 0
            ):
                self.onActivated()
                return True
            return False

    return PopupKeys
