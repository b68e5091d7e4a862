"""The panel as a user drives it: type prompts, press buttons, read the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import panel_host
import slicer
from panel_backends import PanelBackend
from scene_host import SceneHost


class PanelDriver(panel_host.Panel):
    """A panel with what a user does in it.

    Args:
        module: The module `DSMSegment`.
        backend: Computes the masks of its runs.
    """

    def __init__(self, module: Any, backend: PanelBackend) -> None:
        self.backend = backend
        self._is_closed = False
        super().__init__(module)

    def close(self) -> None:
        """Close the panel; a second time, nothing happens."""
        if not self._is_closed:
            self._is_closed = True
            super().close()

    @property
    def parameters(self) -> Any:
        """Parameters of the module in the scene."""
        return self.widget.logic.getParameterNode()

    @property
    def is_running(self) -> bool:
        """True while a run is in progress."""
        return bool(self.widget.logic.isRunning)

    @property
    def output(self) -> Any:
        """Segmentation that is selected as the output; None for a new one."""
        return self.ui.outputSegmentationSelector.currentNode()

    def reopen(self, host: SceneHost, path: Path) -> Any:
        """Save the scene, open it again, and select and return its segmentation."""
        host.saveScene(path)
        host.loadScene(path)
        self.process_events()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        self.ui.outputSegmentationSelector.setCurrentNode(node)
        return node

    @property
    def status(self) -> str:
        """Text of the status line."""
        return str(self.ui.statusLabel.text)

    @property
    def names(self) -> list[str]:
        """Structures of the results table."""
        return self.cells("Structure")

    @property
    def labels(self) -> list[str]:
        """Labels of the results table."""
        return self.cells("Result")

    def column(self, title: str) -> int:
        """Return the number of a column of the results table."""
        table = self.ui.resultsTable
        titles = [table.horizontalHeaderItem(number).text() for number in range(table.columnCount)]
        return titles.index(title)

    def cells(self, title: str) -> list[str]:
        """Return a column of the results table."""
        table, column = self.ui.resultsTable, self.column(title)
        return [table.item(row, column).text() for row in range(table.rowCount)]

    def item(self, row: int, title: str) -> Any:
        """Return an item of the results table."""
        return self.ui.resultsTable.item(row, self.column(title))

    def eye(self, name: str) -> Any:
        """Return the button that hides and shows the segment of a result."""
        return self.ui.resultsTable.cellWidget(self.names.index(name), self.column("Show"))

    def start(self, prompts: str) -> None:
        """Type prompts and press the button."""
        self.ui.promptsTextEdit.setPlainText(prompts)
        self.ui.applyButton.click()

    def run(self, prompts: str) -> Any:
        """Run prompts to the end; returns the output."""
        self.start(prompts)
        self.wait_for_end()
        return self.output

    def cancel(self) -> None:
        """Press Cancel and wait for the end of the run."""
        self.ui.applyButton.click()
        self.wait_for_end()

    def rerun(self, name: str) -> None:
        """Run the prompt of one result again."""
        self.ui.resultsTable.clearSelection()
        self.ui.resultsTable.selectRow(self.names.index(name))
        self.ui.rerunButton.click()
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until no run is in progress."""
        self.wait_until(lambda: not self.is_running)

    @property
    def completions(self) -> Any:
        """List of completions of the prompt field."""
        return self.widget._prompts._completer.popup()

    @property
    def is_pending(self) -> bool:
        """True while the panel waits for the end of a brush stroke, or of a move of the threshold slider."""
        results = self.widget._results
        return bool(results._editTimer.active or results._threshold._timer.active)

    def settle(self) -> None:
        """Wait until the panel has noticed manual edits and has written a moved threshold."""
        self.wait_until(lambda: not self.is_pending)

    def choose_policy(self, label: str) -> None:
        """Choose what to do with segments that have the name of a prompt."""
        combo = self.ui.existingPolicyComboBox
        combo.setCurrentIndex(combo.findText(label))

    def picture(self, name: str) -> None:
        """Take a picture of the window for the documentation (`DSM_UPDATE_SCREENS=1` keeps it)."""
        self.screenshot(panel_host.SCREENS / f"{name}.png")
