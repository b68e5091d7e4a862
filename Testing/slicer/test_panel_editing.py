"""Results of the panel that are edited by hand, and corrections made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, mask_in, plain_affine, segment_ids, segment_of, tag_of, volume_node

from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.mrml import volumeFromNode

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver


ROOT = Path(__file__).parents[2]


def test_editor_opens_on_the_same_things_and_an_edit_makes_the_segment_semiautomatic(
    panel: PanelDriver, volume: Any
) -> None:
    node = panel.run("liver\nspleen")
    panel.ui.resultsTable.selectRow(1)
    panel.ui.editButton.click()
    assert slicer.app.selected_modules[-1] == "SegmentEditor"
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSegmentationNode() is node
    assert editor.GetSourceVolumeNode() is volume
    assert editor.GetSelectedSegmentID() == "DSM_spleen"
    paint(node, "DSM_spleen", volume)
    panel.wait_until(lambda: tag_of(segment_of(node, "DSM_spleen"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC")
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    panel.widget.enter()
    assert panel.labels == ["found", "edited"]
    panel.picture("edited")


def test_edit_in_an_opened_scene_is_noticed_without_the_button(panel: PanelDriver, host: Any, tmp_path: Path) -> None:
    panel.run("liver")
    node = panel.reopen(host, tmp_path / "scene.mrb")
    panel.widget.exit()
    slicer.util.selectModule("SegmentEditor")
    paint(node, "DSM_liver", slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    panel.widget.enter()
    assert panel.labels == ["edited"]
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"


def test_next_run_leaves_edited_and_hand_made_segments_alone(panel: PanelDriver, volume: Any) -> None:
    node = panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    panel.ui.editButton.click()
    corrected = paint(node, "DSM_liver", volume)
    node.GetSegmentation().AddEmptySegment("mine", "by hand")
    panel.run("liver\nspleen")
    assert segment_ids(node) == ["DSM_liver", "mine", "DSM_liver_1", "DSM_spleen"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    assert tag_of(segment_of(node, "DSM_liver_1"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"


def test_a_correction_becomes_a_training_case(
    panel: PanelDriver, volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsm.io.image import read_volume
    from dsm.io.manifest import read_manifest

    node = panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    assert not panel.ui.saveCorrectionButton.enabled
    panel.ui.editButton.click()
    corrected = paint(node, "DSM_liver", volume)
    panel.widget.enter()
    assert panel.ui.saveCorrectionButton.enabled
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.ui.saveCorrectionButton.click()
    panel.ui.saveCorrectionButton.click()
    first, second = read_manifest(tmp_path)
    assert (first.image, first.modality, first.targets) == (second.image, "CT", {"liver": (1,)})
    label = read_volume(first.label)
    np.testing.assert_array_equal(label.array, corrected)
    np.testing.assert_allclose(label.affine, plain_affine(), atol=1e-4)
    ai = read_volume(tmp_path / f"{first.case_id}_ai.nii.gz")
    np.testing.assert_array_equal(ai.array, MASKS["liver"])


def test_what_one_does_with_a_result_concerns_the_volume_that_it_was_made_on(
    panel: PanelDriver, volume: Any, backend: PanelBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsm.io.image import read_volume
    from dsm.io.manifest import read_manifest

    node = panel.run("liver")
    panel.ui.inputVolumeSelector.setCurrentNode(volume_node(plain_affine(), (9, 8, 7), "Other"))
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    panel.ui.resultsTable.selectRow(0)
    panel.ui.editButton.click()
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSourceVolumeNode() is volume
    corrected = paint(node, "DSM_liver", volume)
    panel.widget.enter()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.ui.saveCorrectionButton.click()
    (case,) = read_manifest(tmp_path)
    np.testing.assert_array_equal(read_volume(case.image).array, volumeFromNode(volume).array)
    np.testing.assert_array_equal(read_volume(case.label).array, corrected)
    path = tmp_path / "out.nii.gz"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    panel.ui.exportButton.click()
    assert read_volume(path).shape == SHAPE
    panel.rerun("liver")
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_correction_has_the_name_that_was_asked_for_whatever_the_segment_is_called(
    panel: PanelDriver, volume: Any, tmp_path: Path
) -> None:
    from dsm.io.manifest import read_manifest
    from DSMSegmentLib.scene.correction import saveCorrection

    panel.run("kidneys")
    node = panel.run("kidneys")
    saveCorrection(node, segment_ids(node)[-1], tmp_path)
    (case,) = read_manifest(tmp_path)
    assert list(case.targets) == ["right kidney"]


def test_correction_of_a_volume_that_is_gone_is_refused(panel: PanelDriver, volume: Any, tmp_path: Path) -> None:
    from DSMSegmentLib.scene.correction import saveCorrection

    node = panel.run("liver")
    slicer.mrmlScene.RemoveNode(volume)
    with pytest.raises(InputError, match="was made on is not in the scene"):
        saveCorrection(node, "DSM_liver", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_edit_of_a_segmentation_that_is_not_the_output_any_more_is_noticed(panel: PanelDriver, volume: Any) -> None:
    first = panel.run("liver")
    panel.ui.outputSegmentationSelector.setCurrentNode(None)
    second = panel.run("liver\nspleen")
    assert second is not first
    panel.widget.exit()
    slicer.util.selectModule("SegmentEditor")
    paint(first, "DSM_liver", volume)
    panel.widget.enter()
    assert tag_of(segment_of(first, "DSM_liver"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    assert panel.labels == ["found", "found"]
    panel.ui.outputSegmentationSelector.setCurrentNode(first)
    assert panel.labels == ["edited"]


def test_training_reads_a_correction_and_its_recipe(panel: PanelDriver, volume: Any, tmp_path: Path) -> None:
    from dsm.io.manifest import read_manifest
    from dsm.models.config import ModelConfig
    from dsm.training.cases import load_case
    from dsm.training.recipe import Recipe
    from DSMSegmentLib.scene.correction import saveCorrection

    node = panel.run("liver")
    saveCorrection(node, "DSM_liver", tmp_path)
    recipe = Recipe.load(ROOT / "recipes" / "finetune.yaml")
    (entry,) = read_manifest(tmp_path)
    case = load_case(entry, recipe.model["windows_hu"], rng=np.random.default_rng(0))
    assert len(case.present["liver"]) == MASKS["liver"].sum()
    # It starts from the shipped weights, so it must describe the same network.
    shipped = ModelConfig.load(ROOT / recipe.start_from)
    assert tuple(recipe.model["organs"]) == shipped.organs
    assert tuple(recipe.model["channels"]) == shipped.channels
