"""Texts of the panel are translated by Slicer as whole sentences, before values are inserted."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest
from panel_backends import PanelBackend
from phantoms import mask_of, plain_affine, volume_node

import DSMSegment as module
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
FOLDER = Path(module.__file__).parent
FILES = [FOLDER / "DSMSegment.py", *FOLDER.glob("DSMSegmentLib/**/*.py"), *FOLDER.glob("DSMSegmentEffect/*.py")]
MARK = "§"


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language in which every sentence begins with a mark."""
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] in ("DSMSegment", "DSMSegmentLib") and hasattr(loaded, "_"):
            monkeypatch.setattr(loaded, "_", lambda text: MARK + text)


@pytest.mark.usefixtures("translated", "questions")
def test_panel_speaks_the_language_of_slicer(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(dsm_tiny, tmp_path / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path))
    Settings().model = "dsm-test"
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: PanelBackend({"liver": mask_of()}))
    volume_node(plain_affine())
    panel = panel_host.Panel(module)
    ui = panel.ui
    ui.promptsTextEdit.setPlainText("liver\nlivr")
    ui.applyButton.click()
    while panel.widget.logic.isRunning:
        panel.process_events()
    titles = [ui.resultsTable.horizontalHeaderItem(n).text() for n in range(ui.resultsTable.columnCount)]
    texts = [
        ui.applyButton.text,
        ui.applyButton.toolTip,
        ui.statusLabel.text,
        ui.setupStatusLabel.text,
        ui.hintsLabel.text.partition(": ")[2],
        ui.resultThresholdSlider.toolTip,
        ui.editButton.toolTip,
        ui.deviceComboBox.itemText(0),
        ui.existingPolicyComboBox.itemText(0),
        ui.overlapPolicyComboBox.itemText(0),
        ui.resultsTable.item(0, 2).text(),
        *titles,
    ]
    panel.close()
    assert [text for text in texts if not text.startswith(MARK)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_translators_get_whole_sentences(path: Path) -> None:
    """No f-string and no sum: a translator sees one text, with names in braces for what is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
            (text,) = node.args
            assert isinstance(text, ast.Constant), f"line {node.lineno}"
            assert isinstance(text.value, str), f"line {node.lineno}"
