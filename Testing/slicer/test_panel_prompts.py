"""Section *Input* of the panel: prompts, their hints and their completion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from phantoms import SHAPE, plain_affine, segment_ids, volume_node

from dsm.models.library import trained_names
from dsm.models.store import model_entry
from DSMSegmentLib.panel.learned_organs import learnedOrgans

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def test_each_line_gets_a_hint_by_the_kind_of_its_name(panel: PanelDriver) -> None:
    panel.ui.promptsTextEdit.setPlainText("liver\nlivr\naneurysm\nliver metastasis\nkidney cyst")
    misspelt, unknown, related, rule = panel.ui.hintsLabel.text.split("<br>")
    assert misspelt == "! livr: not known to this model: click on it. Did you mean “liver”?"
    assert unknown == "! aneurysm: not known to this model: click on it."
    assert related == "? liver metastasis: segmented as liver tumor; check the mask."
    assert rule == "? kidney cyst: not learned; marked by a rule on the image, check the mask."
    panel.picture("hints")
    panel.ui.guessCheckBox.setChecked(True)
    guess = panel.ui.hintsLabel.text.split("<br>")[1]
    assert guess == "? aneurysm: not known to this model; the result will be a guess."


def test_free_text_without_a_language_model_is_said_while_typing_and_can_be_installed(
    volume: Any, open_panel: Callable[[], PanelDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ["open_clip_torch"]
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", lambda: list(missing))
    monkeypatch.setattr("DSMSegmentLib.install.free_text.installForFreeText", missing.clear)
    panel = open_panel()
    assert panel.ui.setupCollapsibleButton.collapsed, "the vocabulary needs none"
    panel.ui.guessCheckBox.setChecked(True)
    panel.ui.promptsTextEdit.setPlainText("liver\ngrey spot")
    assert panel.ui.hintsLabel.text == "! gray spot: not in the vocabulary; for free text, see Setup."
    panel.ui.setupCollapsibleButton.collapsed = False
    assert panel.ui.installFreeTextButton.visible
    panel.picture("free_text")
    panel.ui.installFreeTextButton.click()
    assert panel.ui.hintsLabel.text.startswith("? gray spot: not known")
    assert not panel.ui.installFreeTextButton.visible


def test_hints_follow_the_volume(panel: PanelDriver) -> None:
    slicer.util.updateVolumeFromArray(mr := volume_node(plain_affine(), name="MR"), np.ones(SHAPE[::-1], np.int16))
    panel.ui.inputVolumeSelector.setCurrentNode(mr)
    panel.ui.promptsTextEdit.setPlainText("lung tumor")
    assert panel.ui.hintsLabel.text.startswith("! lung tumor: not known to this model")
    panel.ui.inputVolumeSelector.setCurrentNode(slicer.util.getNode("CT"))
    assert panel.ui.hintsLabel.text == "? lung tumor: not learned; marked by a rule on the image, check the mask."
    panel.ui.inputVolumeSelector.setCurrentNode(mr)
    assert panel.ui.hintsLabel.text.startswith("! lung tumor: not known to this model")


def test_names_are_completed_while_typing(panel: PanelDriver) -> None:
    edit = panel.ui.promptsTextEdit
    panel.window.activateWindow()
    edit.setFocus()
    panel.process_events()
    QTest.keyClicks(edit, "left kid")
    popup = panel.completions
    assert popup.visible
    names = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
    assert "left kidney" in names
    panel.picture("completion")
    popup.setCurrentIndex(popup.model().index(names.index("left kidney"), 0))
    QTest.keyClick(popup, qt.Qt.Key_Return)
    assert edit.plainText == "left kidney"
    assert not popup.visible


def test_ctrl_enter_starts(panel: PanelDriver) -> None:
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.window.activateWindow()
    panel.ui.promptsTextEdit.setFocus()
    panel.process_events()
    QTest.keyClick(panel.ui.promptsTextEdit, qt.Qt.Key_Return, qt.Qt.ControlModifier)
    QTest.keyClick(panel.window, qt.Qt.Key_F1)  # else Qt takes Ctrl as held down, in the tests after this one, too
    panel.wait_until(lambda: panel.names == ["liver"])
    assert panel.ui.promptsTextEdit.plainText == "liver"


def test_names_are_picked_from_the_tree_by_region(panel: PanelDriver) -> None:
    assert not panel.ui.structureTree.visible
    panel.ui.browseButton.click()
    assert panel.ui.structureTree.visible
    regions = [panel.ui.structureTree.topLevelItem(n).text(0) for n in range(panel.ui.structureTree.topLevelItemCount)]
    assert any(text.startswith("Abdomen (") for text in regions)
    panel.ui.structureFilterEdit.setText("spleen")
    region = next(
        panel.ui.structureTree.topLevelItem(n)
        for n in range(len(regions))
        if not panel.ui.structureTree.topLevelItem(n).isHidden()
    )
    items = [region.child(n) for n in range(region.childCount()) if not region.child(n).isHidden()]
    spleen = next(item for item in items if item.text(0) == "spleen")
    panel.picture("browse")
    for _ in range(2):
        panel.ui.structureTree.itemActivated.emit(spleen, 0)
    assert panel.ui.promptsTextEdit.plainText == "spleen"


def test_all_learned_organs_are_added_once_and_taken_back_in_one_step(panel: PanelDriver, dsm_tiny: Path) -> None:
    organs = learnedOrgans(trained_names(model_entry(dsm_tiny)))
    assert "liver" in organs
    assert "liver tumor" not in organs
    edit = panel.ui.promptsTextEdit
    edit.setPlainText("aneurysm; Liver")
    mouse.click(panel.ui.learnedOrgansButton)
    assert edit.plainText.splitlines() == ["aneurysm; Liver", *(name for name in organs if name != "liver")]
    before = edit.plainText
    mouse.click(panel.ui.learnedOrgansButton)
    assert panel.parameters.prompts == edit.plainText == before
    QTest.keyClick(edit, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    QTest.keyClick(panel.window, qt.Qt.Key_F1)  # else Qt takes Ctrl as held down, in the tests after this one, too
    assert edit.plainText == "aneurysm; Liver"


def test_learned_organs_of_a_server_are_not_known_before_it_was_asked(panel: PanelDriver) -> None:
    panel.ui.placeComboBox.setCurrentIndex(1)
    assert not panel.ui.learnedOrgansButton.enabled
    assert panel.ui.learnedOrgansButton.toolTip == "Which names the model has learned is not known."


def test_long_prompt_is_refused_with_a_reason(panel: PanelDriver) -> None:
    panel.ui.promptsTextEdit.setPlainText("x" * 400)
    assert panel.ui.hintsLabel.text.startswith("!")
    panel.ui.applyButton.click()
    assert "300 characters" in panel.status
    assert not panel.is_running


def test_same_prompt_twice_is_one_segment(panel: PanelDriver) -> None:
    node = panel.run("liver\nLiver\nthe liver")
    assert segment_ids(node) == ["DSM_liver"]
