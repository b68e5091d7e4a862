"""The prompt field, typed into by keys: the panel is loaded and connected to the scene's parameters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from panel_backends import PanelBackend
from phantoms import mask_of, plain_affine, volume_node

import DSMSegment as module
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

pytestmark = pytest.mark.usefixtures("questions")


@pytest.fixture
def panel(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    shutil.copytree(dsm_tiny, tmp_path / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path))
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", list)  # whatever this interpreter has
    qt.QSettings().clear()
    Settings().model = "dsm-test"
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: PanelBackend({"liver": mask_of()}))
    volume_node(plain_affine())
    panel = panel_host.Panel(module)
    panel.window.activateWindow()
    panel.ui.promptsTextEdit.setFocus()
    panel.process_events()
    yield panel
    QTest.keyClick(panel.window, qt.Qt.Key_F1)  # else Qt takes Ctrl as held down, in the tests after this one, too
    panel.close()


@pytest.fixture
def edit(panel: Any) -> Any:
    return panel.ui.promptsTextEdit


@pytest.fixture
def popup(panel: Any) -> Any:
    return panel.widget._prompts._completer.popup()


def parameters(panel: Any) -> Any:
    """Return the scene's parameters, as a script gets them."""
    return panel.widget.logic.getParameterNode()


def test_typed_prompts_read_as_typed(panel: Any, edit: Any) -> None:
    QTest.keyClicks(edit, "left kidney; liver")
    assert edit.plainText == "left kidney; liver"
    assert parameters(panel).prompts == "left kidney; liver"
    assert panel.ui.applyButton.enabled


def test_typing_goes_on_where_the_cursor_was_put(edit: Any) -> None:
    QTest.keyClicks(edit, "left kidney")
    for _ in range(len("kidney")):
        QTest.keyClick(edit, qt.Qt.Key_Left)
    QTest.keyClicks(edit, "upper ")
    assert edit.plainText == "left upper kidney"
    assert edit.textCursor().position() == len("left upper ")


def test_undo_and_redo_by_keys(panel: Any, edit: Any) -> None:
    QTest.keyClicks(edit, "liver")
    QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    assert edit.plainText == ""
    assert parameters(panel).prompts == ""
    QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier | qt.Qt.ShiftModifier)
    assert edit.plainText == parameters(panel).prompts == "liver"


@pytest.mark.parametrize("key", [qt.Qt.Key_Return, qt.Qt.Key_Tab], ids=["Return", "Tab"])
def test_completion_is_taken_by_keys(panel: Any, edit: Any, popup: Any, key: Any) -> None:
    QTest.keyClicks(edit, "left kid")
    assert popup.visible
    names = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
    QTest.keyClick(popup, qt.Qt.Key_Down)
    QTest.keyClick(popup, key)
    assert not popup.visible
    assert edit.plainText == parameters(panel).prompts == names[0]
    assert edit.textCursor().position() == len(names[0])
    QTest.keyClick(edit, qt.Qt.Key_Return)
    QTest.keyClicks(edit, "spleen")
    assert parameters(panel).prompts == f"{names[0]}\nspleen"


def test_completion_is_offered_for_the_line_of_the_cursor(edit: Any, popup: Any) -> None:
    QTest.keyClicks(edit, "liver")
    QTest.keyClick(edit, qt.Qt.Key_Return)
    QTest.keyClicks(edit, "splee")
    assert popup.visible
    QTest.keyClick(popup, qt.Qt.Key_Down)
    QTest.keyClick(popup, qt.Qt.Key_Return)
    assert edit.plainText == "liver\nspleen"
    QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    assert edit.plainText == "liver\nsplee"


def test_completion_is_offered_after_a_semicolon(edit: Any, popup: Any) -> None:
    QTest.keyClicks(edit, "liver; splee")
    assert popup.visible
    QTest.keyClick(popup, qt.Qt.Key_Down)
    QTest.keyClick(popup, qt.Qt.Key_Return)
    assert edit.plainText == "liver; spleen"


def test_ctrl_return_runs_what_was_typed(panel: Any, edit: Any) -> None:
    QTest.keyClicks(edit, "liver")
    QTest.keyClick(edit, qt.Qt.Key_Return, qt.Qt.ControlModifier)
    panel.wait_until(lambda: panel.ui.resultsTable.rowCount == 1)
    assert edit.plainText == "liver"


class TestPromptsOfOthers:
    """Prompts that a script, the history or the list of structures sets."""

    def test_script_is_shown_and_can_be_taken_back(self, panel: Any, edit: Any, popup: Any) -> None:
        QTest.keyClicks(edit, "liver")
        parameters(panel).prompts = "left kidney\nsple"
        assert edit.plainText == "left kidney\nsple"
        assert not popup.visible, "nobody typed it"
        QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
        assert edit.plainText == parameters(panel).prompts == "liver"

    def test_structure_tree_adds_a_line(self, panel: Any, edit: Any) -> None:
        QTest.keyClicks(edit, "liver")
        panel.widget._prompts.append("spleen")
        assert edit.plainText == parameters(panel).prompts == "liver\nspleen"
        QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
        assert edit.plainText == "liver"

    def test_opened_scene_is_shown(self, panel: Any, edit: Any, host: Any, tmp_path: Path) -> None:
        QTest.keyClicks(edit, "liver; spleen")
        host.saveScene(tmp_path / "scene.mrb")
        slicer.mrmlScene.Clear(False)
        panel.process_events()
        assert edit.plainText == ""
        host.loadScene(tmp_path / "scene.mrb")
        panel.process_events()
        assert edit.plainText == "liver; spleen"
        QTest.keyClicks(edit, ";")
        assert parameters(panel).prompts.endswith(";")


def test_change_of_another_parameter_leaves_the_cursor(panel: Any, edit: Any) -> None:
    QTest.keyClicks(edit, "liver")
    QTest.keyClick(edit, qt.Qt.Key_Home)
    parameters(panel).threshold = 0.4
    panel.ui.fastCheckBox.checked = True
    assert edit.textCursor().position() == 0
    QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    assert edit.plainText == ""
