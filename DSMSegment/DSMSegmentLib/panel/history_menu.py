"""A menu of the prompts of earlier runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dsm.text.prompt import split_prompts
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.panel.settings import Settings

_MAX_TITLE = 60


class HistoryMenu:
    """Menu of a tool button.

    Args:
        button: `QToolButton`.
        settings: Where the history is kept.
        onChosen: Called with the prompts that the user chose.
    """

    def __init__(self, button: Any, settings: Settings, onChosen: Callable[[str], None]) -> None:
        self._settings = settings
        self._onChosen = onChosen
        self._menu = qt.QMenu(button)
        self._menu.aboutToShow.connect(self._fill)
        button.setMenu(self._menu)

    def _fill(self) -> None:
        self._menu.clear()
        for prompts in self._settings.promptHistory:
            title = "; ".join(split_prompts(prompts))
            short = title if len(title) <= _MAX_TITLE else f"{title[:_MAX_TITLE]}\N{HORIZONTAL ELLIPSIS}"
            self._menu.addAction(short).triggered.connect(partial(self._choose, prompts))
        if not self._settings.promptHistory:
            self._menu.addAction(_("No runs yet")).setEnabled(False)

    def _choose(self, prompts: str, _checked: bool = False) -> None:
        self._onChosen(prompts)
