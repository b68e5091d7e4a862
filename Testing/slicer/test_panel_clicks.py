"""Every widget of the panel that one can operate, operated by the mouse: a signal that a test emits proves nothing.

A widget that is added to the form needs a step here, or `test_every_widget_is_clicked` fails.
"""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import view_mouse
from panel_backends import PanelBackend
from phantoms import browser_of_frames, mask_of, plain_affine, roi_node, segment_ids, tag_of, volume_node

import DSMSegment as module
from DSMSegmentLib.panel.settings import Settings
from DSMSegmentLib.scene.modality_choice import ModalityChoice
from DSMSegmentLib.scene.policy import ExistingPolicy, OverlapPolicy

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

pytestmark = pytest.mark.usefixtures("questions")

FORM = Path(module.__file__).parent / "Resources" / "UI" / "DSMSegment.ui"
# Only shows something, or holds other widgets.
NOT_OPERATED = {"QLabel", "QProgressBar", "QWidget", "qMRMLWidget"}
MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}


class Desk:
    """The panel with what a step needs beside it."""

    def __init__(self, panel: Any, backend: PanelBackend, volume: Any, folder: Path) -> None:
        self.panel, self.ui, self.backend, self.volume, self.folder = panel, panel.ui, backend, volume, folder
        self.missing: list[str] = []
        self.asked_folder = self.asked_file = ""
        self.opened: list[str] = []

    @property
    def parameters(self) -> Any:
        return self.panel.widget.logic.getParameterNode()

    @property
    def status(self) -> str:
        return str(self.ui.statusLabel.text)

    def open(self, section: str) -> None:
        """Unfold a section by its heading."""
        button = getattr(self.ui, f"{section}CollapsibleButton")
        if button.collapsed:
            mouse.click(button._header)
        assert not button.collapsed
        self.panel.process_events()

    def type(self, widget: Any, text: str) -> None:
        mouse.click(widget)
        QTest.keyClicks(widget, text)

    def run(self, prompts: str) -> Any:
        self.parameters.prompts = prompts
        mouse.click(self.ui.applyButton)
        self.panel.wait_until(lambda: not self.panel.widget.logic.isRunning)
        self.panel.process_events()
        return self.parameters.outputSegmentation

    def select_row(self, number: int) -> None:
        table = self.ui.resultsTable
        mouse.click_item(table, table.model().index(number, 1))
        self.panel.process_events()


@pytest.fixture
def desk(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("dsm-test", "dsm-test2"):
        shutil.copytree(dsm_tiny, tmp_path / "models" / name)
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path / "models"))
    qt.QSettings().clear()
    Settings().model = "dsm-test"
    backend = PanelBackend(dict(MASKS))
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    volume = volume_node(plain_affine())
    missing: list[str] = []
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.missingRequirements", lambda: list(missing))
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", lambda: list(missing))
    panel = panel_host.Panel(module)
    panel.window.activateWindow()
    desk = Desk(panel, backend, volume, tmp_path)
    desk.missing = missing
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: desk.asked_folder)
    for dialog in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(qt.QFileDialog, dialog, lambda *_: (desk.asked_file, ""))
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: desk.opened.append(url.toLocalFile()))
    yield desk
    panel.close()
    shutil.rmtree(Path(slicer.app.slicerUserSettingsFilePath).parent / "DSMSegment", ignore_errors=True)
    qt.QSettings().clear()


def fold(section: str) -> Callable[[Desk], None]:
    """Return a step that folds and unfolds a section."""

    def step(desk: Desk) -> None:
        if section in ("results", "lesions"):
            desk.backend.masks["liver tumor"] = MASKS["liver"]
            desk.run("liver tumor")
        button = getattr(desk.ui, f"{section}CollapsibleButton")
        before = button.collapsed
        for expected in (not before, before):
            mouse.click(button._header)
            assert button.collapsed is expected

    return step


def tick(name: str, parameter: str) -> Callable[[Desk], None]:
    """Return a step that changes a check box twice."""

    def step(desk: Desk) -> None:
        desk.open("advanced")
        box, before = getattr(desk.ui, name), getattr(desk.parameters, parameter)
        for expected in (not before, before):
            mouse.click_box(box)
            assert box.checked is expected
            assert getattr(desk.parameters, parameter) is expected

    return step


def pick_policy(name: str, parameter: str, kind: Any) -> Callable[[Desk], None]:
    """Return a step that chooses every policy."""

    def step(desk: Desk) -> None:
        for member in reversed(kind):
            mouse.choose(getattr(desk.ui, name), member.label())
            assert getattr(desk.parameters, parameter) is member

    return step


def entries(combo: Any) -> list[str]:
    return [combo.itemText(number) for number in range(combo.count)]


def place(desk: Desk) -> None:
    desk.open("setup")
    mouse.choose(desk.ui.placeComboBox, "Remote server")
    assert Settings().isRemote
    assert desk.ui.remoteWidget.visible
    mouse.choose(desk.ui.placeComboBox, "This computer")
    assert desk.ui.localWidget.visible


def model(desk: Desk) -> None:
    desk.open("setup")
    other = next(text for text in entries(desk.ui.modelComboBox) if text.startswith("dsm-test2"))
    mouse.choose(desk.ui.modelComboBox, other)
    assert Settings().model == "dsm-test2"
    assert Path(desk.backend.chosen[0]).name == "dsm-test2"


def device(desk: Desk) -> None:
    desk.open("setup")
    mouse.choose(desk.ui.deviceComboBox, "CPU")
    assert desk.backend.chosen[1] == Settings().device == "cpu"


def precision(desk: Desk) -> None:
    desk.open("setup")
    assert entries(desk.ui.precisionComboBox) == ["Automatic (fastest)", "float32", "bfloat16", "int8"]
    mouse.choose(desk.ui.precisionComboBox, "int8")
    assert desk.backend.chosen[2] == Settings().precision == "int8"
    mouse.choose(desk.ui.precisionComboBox, "Automatic (fastest)")
    assert desk.backend.chosen[2] == Settings().precision == "auto"


def modality(desk: Desk) -> None:
    desk.open("advanced")
    assert entries(desk.ui.modalityComboBox) == ["Automatic (CT)", "CT", "MR"]
    assert desk.ui.inputNotesLabel.text.startswith("Taken for CT: ")
    mouse.choose(desk.ui.modalityComboBox, "MR")
    assert desk.parameters.modality is ModalityChoice.MR
    assert desk.ui.inputNotesLabel.text == "Taken for MR, as you chose."
    desk.run("liver")
    assert desk.backend.volumes[-1].modality == "MR"
    mouse.choose(desk.ui.modalityComboBox, "Automatic (CT)")
    desk.run("spleen")
    assert desk.backend.volumes[-1].modality == "CT"


def guess(desk: Desk) -> None:
    tick("guessCheckBox", "guess")(desk)
    mouse.click_box(desk.ui.guessCheckBox)
    desk.run("liver")
    assert desk.backend.requests[-1].options.guess
    mouse.click_box(desk.ui.guessCheckBox)
    desk.run("spleen")
    assert not desk.backend.requests[-1].options.guess


def install_model(desk: Desk) -> None:
    desk.open("setup")
    shutil.copytree(desk.folder / "models" / "dsm-test", desk.folder / "new" / "dsm-new")
    desk.asked_file = str(desk.folder / "new" / "dsm-new" / "manifest.json")
    mouse.click(desk.ui.installModelButton)
    assert "is installed" in desk.status, desk.status


def open_model_folder(desk: Desk) -> None:
    desk.open("setup")
    mouse.click(desk.ui.openModelFolderButton)
    assert desk.opened == [str(desk.folder / "models" / "dsm-test")]


def delete_model(desk: Desk) -> None:
    install_model(desk)
    assert any(text.startswith("dsm-new") for text in entries(desk.ui.modelComboBox))
    mouse.click(desk.ui.deleteModelButton)
    assert not any(text.startswith("dsm-new") for text in entries(desk.ui.modelComboBox))


def without_packages(desk: Desk) -> None:
    """The section as it is where packages are missing."""
    desk.missing.append("torch>=2.6")
    setup = desk.panel.widget._setup
    setup._missing = setup._missingFreeText = list(desk.missing)
    setup._apply()
    desk.open("setup")


def try_devices(desk: Desk) -> None:
    desk.open("setup")
    mouse.click(desk.ui.testButton)
    desk.panel.wait_until(lambda: desk.ui.deviceComboBox.count == 3)


def release(desk: Desk) -> None:
    desk.open("setup")
    mouse.click(desk.ui.releaseButton)
    assert desk.backend.released == 1


def server_field(name: str, number: int) -> Callable[[Desk], None]:
    """Return a step that types into a field of the server."""

    def step(desk: Desk) -> None:
        place_remote(desk)
        desk.type(getattr(desk.ui, name), "https://server:1")
        QTest.keyClick(getattr(desk.ui, name), qt.Qt.Key_Return)
        assert Settings().server[number] == "https://server:1"

    return step


def place_remote(desk: Desk) -> None:
    desk.open("setup")
    mouse.choose(desk.ui.placeComboBox, "Remote server")


def try_connection(desk: Desk) -> None:
    place_remote(desk)
    desk.type(desk.ui.serverAddressEdit, "http://127.0.0.1:9")  # the port of nobody
    desk.type(desk.ui.serverTokenEdit, "0123456789abcdef")
    mouse.click(desk.ui.testConnectionButton)
    desk.panel.wait_until(lambda: desk.ui.testConnectionButton.enabled)
    assert desk.ui.connectionLabel.text.startswith("!")


def remove_uploads(desk: Desk) -> None:
    place_remote(desk)
    mouse.click(desk.ui.removeUploadsButton)
    assert desk.status.startswith("The volumes that were sent are removed")


def input_volume(desk: Desk) -> None:
    other = volume_node(plain_affine(), name="Other")
    mouse.choose(desk.ui.inputVolumeSelector._list, "Other")
    assert desk.parameters.inputVolume is other


def prompts(desk: Desk) -> None:
    desk.type(desk.ui.promptsTextEdit, "liver")
    assert desk.parameters.prompts == "liver"


def browse(desk: Desk) -> None:
    mouse.click(desk.ui.browseButton)
    assert desk.ui.structureTree.visible
    mouse.click(desk.ui.browseButton)
    assert not desk.ui.structureTree.visible


def learned_organs(desk: Desk) -> None:
    mouse.click(desk.ui.learnedOrgansButton)
    assert "liver" in desk.parameters.prompts.splitlines()


def history(desk: Desk) -> None:
    for text in ("liver;spleen", "liver\nspleen", "spleen"):
        desk.run(text)
    assert mouse.choose_from_menu(desk.ui.historyButton, "liver; spleen") == ["spleen", "liver; spleen"]
    assert desk.ui.promptsTextEdit.plainText == desk.parameters.prompts == "liver\nspleen"


def filter_structures(desk: Desk) -> None:
    mouse.click(desk.ui.browseButton)
    desk.type(desk.ui.structureFilterEdit, "spleen")
    tree = desk.ui.structureTree
    shown = [tree.topLevelItem(n) for n in range(tree.topLevelItemCount) if not tree.topLevelItem(n).isHidden()]
    assert 0 < len(shown) < tree.topLevelItemCount


def structure_tree(desk: Desk) -> None:
    filter_structures(desk)
    desk.panel.process_events()
    tree = desk.ui.structureTree
    items = tree.findItems("spleen", qt.Qt.MatchExactly | qt.Qt.MatchRecursive)
    mouse.click_item(tree, tree.indexFromItem(items[0]), double=True)
    assert desk.parameters.prompts == "spleen"


def roi(desk: Desk) -> None:
    node = roi_node(desk.volume, (3, 4, 3), (6, 8, 5))
    mouse.choose(desk.ui.roiSelector._list, node.GetName())
    assert desk.parameters.roi is node


def all_sequence_items(desk: Desk) -> None:
    browser_of_frames(desk.volume, (-1000, 0, 100))
    desk.parameters.Modified()
    desk.panel.process_events()
    mouse.click_box(desk.ui.allSequenceItemsCheckBox)
    assert desk.parameters.allSequenceItems


def output(desk: Desk) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    mouse.choose(desk.ui.outputSegmentationSelector._list, "Mine")
    assert desk.parameters.outputSegmentation is node
    mouse.choose(desk.ui.outputSegmentationSelector._list, "Create new segmentation")
    assert desk.parameters.outputSegmentation is None


def apply(desk: Desk) -> None:
    assert segment_ids(desk.run("liver")) == ["DSM_liver"]


def results_table(desk: Desk) -> None:
    node = desk.run("liver\nspleen")
    table = desk.ui.resultsTable
    mouse.click(table.cellWidget(0, 0))
    assert not node.GetDisplayNode().GetSegmentVisibility("DSM_liver")
    mouse.click_item(table, table.model().index(1, 5), square=True)
    assert slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(node.GetSegmentation().GetSegment("DSM_spleen"))
    desk.select_row(1)
    assert [row.name for row in desk.panel.widget._results._table.selected] == ["spleen"]


def lesions_table(desk: Desk) -> None:
    desk.backend.masks["liver tumor"] = MASKS["liver"]
    desk.run("liver tumor")
    desk.open("lesions")
    table = desk.ui.lesionsTable
    count = table.rowCount
    mouse.click_item(table, table.model().index(0, 4), square=True)
    assert table.item(0, 4).checkState() == qt.Qt.Checked
    mouse.click(table.cellWidget(0, 5))
    assert table.rowCount == count - 1


def click_on(desk: Desk) -> None:
    desk.type(desk.ui.promptsTextEdit, "liver")
    mouse.click(desk.ui.clickButton)
    assert segment_ids(desk.parameters.outputSegmentation) == ["DSM_liver"]
    assert desk.status.startswith("Click inside of liver")
    assert desk.backend.requests == []


def outside(desk: Desk) -> None:
    click_on(desk)
    for expected in (True, False):
        mouse.click(desk.ui.outsideButton)
        assert desk.ui.outsideButton.checked is expected


def take_back_click(desk: Desk) -> None:
    click_on(desk)
    assert view_mouse.click((-41.0, 5.65, 90.0))
    desk.panel.process_events()
    mouse.click(desk.ui.takeBackClickButton)
    assert not desk.ui.takeBackClickButton.enabled


def undo(desk: Desk) -> None:
    desk.run("liver")
    mouse.click(desk.ui.undoButton)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def redo(desk: Desk) -> None:
    node = desk.run("liver")
    mouse.click(desk.ui.undoButton)
    mouse.click(desk.ui.redoButton)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is node


def edit(desk: Desk) -> None:
    desk.run("liver")
    desk.select_row(0)
    mouse.click(desk.ui.editButton)
    assert slicer.app.selected_modules[-1] == "SegmentEditor"


def rerun(desk: Desk) -> None:
    desk.run("liver\nspleen")
    desk.select_row(1)
    mouse.click(desk.ui.rerunButton)
    desk.panel.wait_until(lambda: not desk.panel.widget.logic.isRunning)
    assert desk.backend.requests[-1].prompts == ("spleen",)


def show_3d(desk: Desk) -> None:
    node = desk.run("liver")
    mouse.click(desk.ui.show3DButton)
    desk.panel.wait_until(lambda: node.GetSegmentation().ContainsRepresentation("Closed surface"))
    mouse.click(desk.ui.show3DButton)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def uncertainty(desk: Desk) -> None:
    desk.parameters.uncertainty = True
    desk.run("liver")
    desk.select_row(0)
    mouse.click(desk.ui.uncertaintyButton)
    assert slicer.util.getNodes("*uncertainty")
    mouse.click(desk.ui.uncertaintyButton)
    assert not slicer.util.getNodes("*uncertainty")


def threshold(desk: Desk) -> None:
    desk.open("advanced")
    box = desk.ui.thresholdSlider._box
    mouse.click(box, qt.QPoint(box.width - 5, 5))  # the upper arrow
    assert desk.parameters.threshold == pytest.approx(0.51)
    slider = desk.ui.thresholdSlider._slider
    mouse.click(slider, qt.QPoint(slider.width - 5, slider.height // 2))  # right of the handle: a page up
    assert desk.parameters.threshold > 0.51
    assert desk.parameters.threshold == pytest.approx(box.value)


def result_threshold(desk: Desk) -> None:
    node = desk.run("liver")
    desk.select_row(0)
    box = desk.ui.resultThresholdSlider._box
    mouse.click(box, qt.QPoint(box.width - 5, 5))
    segment = node.GetSegmentation().GetSegment("DSM_liver")
    desk.panel.wait_until(lambda: tag_of(segment, "DSM.Threshold") == "0.51")
    assert desk.parameters.threshold == 0.5


def log(desk: Desk) -> None:
    desk.run("liver")
    desk.open("advanced")
    desk.type(desk.ui.logTextEdit, "x")
    assert "1 found" in desk.ui.logTextEdit.plainText
    assert not desk.ui.logTextEdit.plainText.startswith("x"), "it is only to be read"


def copy_report(desk: Desk) -> None:
    desk.open("advanced")
    mouse.click(desk.ui.copyReportButton)
    assert "DSMSegment" in slicer.app.clipboard().text()


def export(desk: Desk) -> None:
    desk.run("liver")
    desk.asked_file = str(desk.folder / "out.seg.nrrd")
    mouse.click(desk.ui.exportButton)
    assert Path(desk.asked_file).is_file()


def save_correction(desk: Desk) -> None:
    node = desk.run("liver")
    desk.select_row(0)
    segment = node.GetSegmentation().GetSegment("DSM_liver")
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "DSM_liver")
    voxels[tuple(np.argwhere(voxels)[0])] = 0
    segment.GetRepresentation("Binary labelmap").Modified()
    desk.panel.widget.enter()
    desk.asked_folder = str(desk.folder / "corrections")
    Path(desk.asked_folder).mkdir()
    mouse.click(desk.ui.saveCorrectionButton)
    assert "was stored" in desk.status, desk.status


def install(name: str, function: str) -> Callable[[Desk, pytest.MonkeyPatch], None]:
    """Return a step that installs packages."""

    def step(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        without_packages(desk)
        if name == "installFreeTextButton":
            desk.panel.widget._setup._missing = []
            desk.panel.widget._setup._apply()
        desk.asked_folder = str(desk.folder)
        monkeypatch.setattr(f"DSMSegmentLib.install.{function}", lambda *_: desk.missing.clear())
        mouse.click(getattr(desk.ui, name))
        desk.panel.wait_until(lambda: "The worker is ready" in desk.status)

    return step


SECTIONS = ("setup", "inputs", "outputs", "results", "advanced")
STEPS: dict[str, Callable[..., None]] = {
    **{
        f"{section}CollapsibleButton": fold(section)
        for section in ("setup", "inputs", "outputs", "results", "lesions", "advanced")
    },
    "placeComboBox": place,
    "modelComboBox": model,
    "deviceComboBox": device,
    "precisionComboBox": precision,
    "installModelButton": install_model,
    "openModelFolderButton": open_model_folder,
    "deleteModelButton": delete_model,
    "installButton": install("installButton", "dependencies.installMissing"),
    "installFolderButton": install("installFolderButton", "dependencies.installFromFolder"),
    "installFreeTextButton": install("installFreeTextButton", "free_text.installForFreeText"),
    "testButton": try_devices,
    "releaseButton": release,
    "serverAddressEdit": server_field("serverAddressEdit", 0),
    "serverTokenEdit": server_field("serverTokenEdit", 1),
    "serverCertificateEdit": server_field("serverCertificateEdit", 2),
    "testConnectionButton": try_connection,
    "removeUploadsButton": remove_uploads,
    "inputVolumeSelector": input_volume,
    "promptsTextEdit": prompts,
    "browseButton": browse,
    "learnedOrgansButton": learned_organs,
    "historyButton": history,
    "structureFilterEdit": filter_structures,
    "structureTree": structure_tree,
    "roiSelector": roi,
    "allSequenceItemsCheckBox": all_sequence_items,
    "outputSegmentationSelector": output,
    "existingPolicyComboBox": pick_policy("existingPolicyComboBox", "existingPolicy", ExistingPolicy),
    "overlapPolicyComboBox": pick_policy("overlapPolicyComboBox", "overlapPolicy", OverlapPolicy),
    "applyButton": apply,
    "resultsTable": results_table,
    "lesionsTable": lesions_table,
    "clickButton": click_on,
    "outsideButton": outside,
    "takeBackClickButton": take_back_click,
    "undoButton": undo,
    "redoButton": redo,
    "editButton": edit,
    "rerunButton": rerun,
    "show3DButton": show_3d,
    "uncertaintyButton": uncertainty,
    "exportButton": export,
    "saveCorrectionButton": save_correction,
    "resultThresholdSlider": result_threshold,
    "thresholdSlider": threshold,
    "guessCheckBox": guess,
    "modalityComboBox": modality,
    "postprocessCheckBox": tick("postprocessCheckBox", "postprocess"),
    "keepEmptyCheckBox": tick("keepEmptyCheckBox", "keepEmpty"),
    "fastCheckBox": tick("fastCheckBox", "fast"),
    "uncertaintyCheckBox": tick("uncertaintyCheckBox", "uncertainty"),
    "logTextEdit": log,
    "copyReportButton": copy_report,
}


@pytest.fixture
def recorder() -> Iterator[Any]:
    recorder = mouse.ClickRecorder()
    yield recorder
    recorder.close()


@pytest.mark.parametrize("name", STEPS)
def test_click(name: str, desk: Desk, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = STEPS[name]
    step(desk, monkeypatch) if step.__code__.co_argcount == 2 else step(desk)
    assert recorder.saw(getattr(desk.ui, name)), "the step does not click it"


def test_every_widget_is_clicked() -> None:
    widgets = {widget.get("name"): widget.get("class") for widget in ET.parse(FORM).iter("widget")}  # noqa: S314
    operated = {name for name, kind in widgets.items() if kind not in NOT_OPERATED}
    assert operated == set(STEPS)
