"""Every button of the panel that is disabled says why."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import slicer
from acting_backend import wait_for_cancel
from panel_backends import PanelBackend

import DSMSegment as module

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
from PySide6.QtWidgets import QAbstractButton  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver

FORM = Path(module.__file__).parent / "Resources" / "UI" / "DSMSegment.ui"
# What each button does, which is no reason.
PURPOSES = {
    widget.get("name"): widget.findtext("property[@name='toolTip']/string")
    for widget in ET.parse(FORM).iter("widget")  # noqa: S314  (our own file)
}


def silent(panel: PanelDriver) -> list[str]:
    """Return the disabled buttons without a reason; of a section that is disabled as a whole, its heading says it."""
    panel.process_events()
    found = panel.window.findChildren(QAbstractButton)
    section = panel.ui.setupCollapsibleButton
    buttons = [one for one in found if one.isVisible() and not one.isEnabled() and not section.isAncestorOf(one)]
    if section.enabled:
        buttons += [one for one in found if one.isVisible() and not one.isEnabled() and section.isAncestorOf(one)]
    elif not panel.ui.setupStatusLabel.text.startswith("Wait for the end of the run"):
        return ["setup"]
    assert buttons, "nothing is disabled: the test is void"
    return [one.objectName for one in buttons if one.toolTip in ("", PURPOSES.get(one.objectName))]


def test_at_the_start(open_panel: Callable[[], PanelDriver], volume: Any) -> None:
    slicer.mrmlScene.RemoveNode(volume)
    panel = open_panel()
    panel.ui.setupCollapsibleButton.collapsed = False
    assert silent(panel) == []
    assert panel.ui.applyButton.toolTip == "Select a CT or MR volume first."


def test_without_a_model(open_panel: Callable[[], PanelDriver], volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.models.library.ModelLibrary.models", lambda _: [])
    panel = open_panel()
    assert silent(panel) == []
    assert panel.ui.deleteModelButton.toolTip == panel.ui.testButton.toolTip == "No model is installed."


def test_with_results(panel: PanelDriver) -> None:
    panel.run("liver\npancreas")
    assert silent(panel) == []


def test_during_a_run(panel: PanelDriver, backend: PanelBackend) -> None:
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    panel.ui.setupCollapsibleButton.collapsed = False
    backend.after, backend.act = 0, wait_for_cancel
    panel.start("spleen")
    assert silent(panel) == []
    for button in (
        panel.ui.editButton,
        panel.ui.rerunButton,
        panel.ui.undoButton,
        panel.ui.redoButton,
        panel.ui.exportButton,
    ):
        assert (button.enabled, button.toolTip) == (False, "Wait for the end of the run, or cancel it.")
    panel.cancel()
    assert panel.ui.setupStatusLabel.text.startswith("Ready")
    assert panel.ui.editButton.enabled
