"""Models in the Setup section: installed from what the user chose, deleted after a question, licensed once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from acting_backend import wait_for_cancel
from panel_backends import PanelBackend
from patience import PATIENCE_S
from phantoms import mask_of, plain_affine, volume_node

import DSMSegment as module
from dsm.models.archive import pack_model
from dsm.models.config import ModelConfig
from dsm.models.store import no_click_network, write_manifest
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from PySide6.QtCore import Qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402


def installed_models() -> Path:
    """Beside the settings of the user."""
    return Path(panel_host.application().slicerUserSettingsFilePath).parent / "DSMSegment" / "models"


@pytest.fixture
def shipped(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only model at first; it came with the extension."""
    folder = Path(shutil.copytree(dsm_tiny, tmp_path / "shipped" / "dsm-test"))
    (folder / "MODEL_CARD.md").write_text("| Licence of the weights | Public domain |\n\nA tyop.\n")
    write_manifest(folder)
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder.parent))
    shutil.rmtree(installed_models(), ignore_errors=True)
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", list)
    qt.QSettings().clear()
    Settings().model = "dsm-test"
    return folder


@pytest.fixture
def body_model_beside(shipped: Path, make_body_model: Callable[[Path], Path]) -> None:
    """Another model, which came with the extension, too."""
    make_body_model(shipped.parent)


@pytest.fixture
def body_model_of_the_user(shipped: Path, make_body_model: Callable[[Path], Path]) -> None:
    """Another model, installed in the panel: where the worker does not look for more than the chosen one."""
    make_body_model(installed_models())


@pytest.fixture
def panel(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    volume_node(plain_affine())
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: PanelBackend({"liver": mask_of(seed=1)}))
    panel = panel_host.Panel(module)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.process_events()
    yield panel
    panel.close()
    shutil.rmtree(installed_models(), ignore_errors=True)


def names(panel: Any) -> list[str]:
    combo = panel.ui.modelComboBox
    return [combo.itemText(n).partition(" (")[0] for n in range(combo.count)]


def choose(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> None:
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))


def run(panel: Any) -> None:
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.ui.applyButton.click()
    deadline = time.monotonic() + PATIENCE_S
    while panel.widget.logic.isRunning:
        assert time.monotonic() < deadline
        panel.process_events()


def test_click_button_follows_what_the_chosen_model_can_do(shipped: Path, with_clicks: Callable[[Path], Path]) -> None:
    shutil.move(with_clicks(shipped), shipped.parent / "dsm-test-clicks")
    volume_node(plain_affine())
    panel = panel_host.Panel(module)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.promptsTextEdit.setPlainText("schwannoma")
    for name, takes_clicks in (("dsm-test-clicks", True), ("dsm-test", False)):
        mouse.choose(panel.ui.modelComboBox, panel.ui.modelComboBox.itemText(names(panel).index(name)))
        assert panel.ui.clickButton.enabled == takes_clicks
    assert panel.ui.clickButton.toolTip == no_click_network("dsm-test").one_line
    panel.close()


@pytest.mark.usefixtures("body_model_beside")
def test_name_that_another_model_will_segment_is_good(panel: Any) -> None:
    panel.ui.promptsTextEdit.setPlainText("liver\nsternum")
    panel.screenshot(panel_host.SCREENS / "other_model.png")
    assert panel.ui.hintsLabel.text == "\N{CHECK MARK} sternum: learned by dsm-body."
    panel.ui.placeComboBox.setCurrentIndex(1)
    assert "dsm-body" not in panel.ui.hintsLabel.text, "a server has models of its own"


@pytest.mark.usefixtures("body_model_of_the_user")
def test_link_of_a_hint_chooses_the_model_that_has_learned_the_name(panel: Any) -> None:
    panel.ui.promptsTextEdit.setPlainText("liver\nsternum")
    mouse.click_link(panel.ui.hintsLabel)
    assert panel.ui.modelComboBox.currentText.startswith("dsm-body (")
    assert "sternum" not in panel.ui.hintsLabel.text
    assert "liver: not known to this model: click on it. dsm-small has learned it" in panel.ui.hintsLabel.text
    panel.ui.placeComboBox.setCurrentIndex(1)
    assert "Setup" not in panel.ui.hintsLabel.text, "a server has models of its own"


def test_name_learned_in_the_other_modality_only_is_said_and_is_none_of_all_learned_organs(
    panel: Any, make_body_model: Callable[[Path], Path], shipped: Path
) -> None:
    folder = make_body_model(shipped.parent)
    ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("heart",), only_in={"MR": ("heart",)}).save(folder)
    write_manifest(folder)
    panel.widget._setup._fillModels()
    panel.widget.chooseModel("dsm-body")
    panel.ui.promptsTextEdit.setPlainText("heart")
    assert panel.ui.hintsLabel.text == "! heart: learned in MR only, this volume is CT: click on it."
    panel.ui.modalityComboBox.setCurrentText("MR")
    assert panel.ui.hintsLabel.text == "✓ learned"
    panel.ui.promptsTextEdit.setPlainText("")
    entries = mouse.choose_from_menu(panel.ui.learnedOrgansButton, "Thorax (1)", arrow=True)
    assert panel.ui.promptsTextEdit.plainText == "heart"
    assert entries[0] == "Thorax (1)"


def test_model_that_stands_alone_and_has_learned_no_organs_in_this_modality(
    panel: Any, make_body_model: Callable[[Path], Path]
) -> None:
    folder = make_body_model(installed_models())
    ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("heart",), only_in={"MR": ("heart",)}).save(folder)
    write_manifest(folder)
    panel.widget._setup._fillModels()
    panel.widget.chooseModel("dsm-body")
    assert panel.ui.learnedOrgansButton.toolTip == "The model has learned no organs in CT."
    panel.ui.modalityComboBox.setCurrentText("MR")
    mouse.click(panel.ui.learnedOrgansButton)
    assert panel.ui.promptsTextEdit.plainText == "heart"


@pytest.mark.usefixtures("body_model_beside")
def test_all_organs_that_another_model_has_learned(panel: Any) -> None:
    """One model has the organs of the abdomen; names that two have learned are those of the chosen one."""
    panel.ui.modalityComboBox.setCurrentText("MR")
    panel.ui.promptsTextEdit.setPlainText("aneurysm")
    entries = mouse.choose_from_menu(panel.ui.learnedOrgansButton, "Head, spine (23)", arrow=True)
    prompts = panel.ui.promptsTextEdit.plainText.splitlines()
    assert len(prompts) == 24
    assert {"left thalamus", "brainstem"} <= set(prompts)
    assert "liver" not in prompts
    assert entries[0].startswith("Abdomen")
    assert len({entry for entry in entries if entry.startswith("Abdomen")}) == 1


@pytest.mark.usefixtures("body_model_of_the_user", "questions")
def test_model_is_not_changed_during_a_run(panel: Any) -> None:
    backend = panel.widget.logic.backend
    backend.after, backend.act = 0, wait_for_cancel
    panel.ui.promptsTextEdit.setPlainText("liver\nsternum")
    panel.ui.applyButton.click()
    mouse.click_link(panel.ui.hintsLabel)
    assert panel.ui.statusLabel.text == "Wait for the end of the run, or cancel it."
    assert panel.ui.modelComboBox.currentText.startswith("dsm-test")


@pytest.mark.usefixtures("questions")
@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_model_is_installed_and_chosen(
    panel: Any, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = Path(shutil.copytree(shipped, tmp_path / "downloads" / "mine"))
    if kind == "archive":
        pack_model(source, tmp_path / "a.zip")
    choose(monkeypatch, tmp_path / "a.zip" if kind == "archive" else source / "manifest.json")
    QTest.mouseClick(panel.ui.installModelButton, Qt.MouseButton.LeftButton)
    assert names(panel) == ["dsm-brain", "dsm-head-heart", "dsm-small", "dsm-test", "mine"]
    assert panel.ui.modelComboBox.currentText.startswith("mine (")
    assert panel.ui.statusLabel.text == "mine is installed."
    assert (installed_models() / "mine" / "manifest.json").is_file()


def test_choice_that_is_no_model_is_said_and_no_choice_is_nothing(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, "")
    QTest.mouseClick(panel.ui.installModelButton, Qt.MouseButton.LeftButton)
    assert "not a .zip" not in panel.ui.statusLabel.text
    (tmp_path / "a.zip").write_text("<html>")
    choose(monkeypatch, tmp_path / "a.zip")
    QTest.mouseClick(panel.ui.installModelButton, Qt.MouseButton.LeftButton)
    assert panel.ui.statusLabel.text.startswith("a.zip is damaged or not a .zip file")
    assert names(panel) == ["dsm-brain", "dsm-head-heart", "dsm-small", "dsm-test"]


def test_delete_asks_first(panel: Any, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(shutil.copytree(shipped, tmp_path / "downloads" / "mine"))
    choose(monkeypatch, source / "manifest.json")
    QTest.mouseClick(panel.ui.installModelButton, Qt.MouseButton.LeftButton)
    asked: list[str] = []
    answer = False

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    QTest.mouseClick(panel.ui.deleteModelButton, Qt.MouseButton.LeftButton)
    assert "mine" in names(panel)
    answer = True
    QTest.mouseClick(panel.ui.deleteModelButton, Qt.MouseButton.LeftButton)
    assert "mine" not in names(panel)
    assert len(asked) == 2
    assert str(installed_models() / "mine") in asked[0]
    assert not panel.ui.deleteModelButton.enabled


def test_licence_is_asked_again_only_when_weights_or_licence_change(
    panel: Any, shipped: Path, questions: list[str]
) -> None:
    def ask(card: str) -> int:
        (shipped / "MODEL_CARD.md").write_text(card)
        write_manifest(shipped)
        panel.widget._setup._fillModels()
        run(panel)
        return len(questions)

    assert ask("| Licence of the weights | Public domain |\n\nA tyop.\n") == 1
    assert all(name in questions[0] for name in ("dsm-test", "dsm-small", "dsm-head-heart")), "all that a run may use"
    assert ask("| Licence of the weights | Public domain |\n\nA typo.\n") == 1
    assert ask("| Licence of the weights | Private |\n") == 2
    with (shipped / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert ask("| Licence of the weights | Private |\n") == 3
