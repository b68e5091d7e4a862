"""Section *Setup* of the panel: packages, devices, models, licences, report."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import slicer
from panel_backends import PanelBackend

from dsm.errors import WorkerError
from DSMSegmentLib.install.dependencies import missingRequirements
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver


ROOT = Path(__file__).parents[2]


def test_folded_when_ready_and_open_when_packages_are_missing(
    panel: PanelDriver, open_panel: Callable[[], PanelDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert panel.ui.setupCollapsibleButton.collapsed
    assert missingRequirements() == []
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.missingRequirements", lambda: ["torch>=2.6"])
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.loadedTorch", lambda: "")
    second = open_panel()
    assert not second.ui.setupCollapsibleButton.collapsed
    second.ui.promptsTextEdit.setPlainText("liver")
    assert not second.ui.applyButton.enabled
    assert "press Install" in second.ui.applyButton.toolTip
    assert "packages are missing" in second.ui.setupStatusLabel.text
    second.ui.installButton.click()
    assert "extension PyTorch" in second.status
    second.picture("no_packages")


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that this interpreter lacks."""
    packages = ["torch>=2.6"]
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.missingRequirements", lambda: list(packages))
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.loadedTorch", lambda: "")
    return packages


@pytest.fixture
def bare_panel(volume: Any, missing: list[str], open_panel: Callable[[], PanelDriver]) -> PanelDriver:
    """A panel of an interpreter without PyTorch."""
    return open_panel()


def test_install_is_followed_by_an_import_in_the_worker(
    bare_panel: PanelDriver, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.installMissing", missing.clear)
    bare_panel.ui.installButton.click()
    bare_panel.wait_until(lambda: "The worker is ready" in bare_panel.status)
    assert bare_panel.ui.deviceComboBox.count == 3


def test_package_that_the_worker_cannot_import_is_said(
    bare_panel: PanelDriver, missing: list[str], backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def test() -> None:
        raise WorkerError("The worker cannot import torch.", hint="Install it again.")

    backend.test = test
    monkeypatch.setattr("DSMSegmentLib.install.dependencies.installMissing", missing.clear)
    bare_panel.ui.installButton.click()
    bare_panel.wait_until(lambda: "cannot import torch" in bare_panel.status)


def test_failed_pip_is_said_in_the_status_line(bare_panel: PanelDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    from DSMSegmentLib.install.pip_call import slicerPackaging

    def pip_install(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(1, ["pip"])

    # In Slicer 5.12 and later, packages are installed by a module of their own.
    monkeypatch.setattr(slicerPackaging() or slicer.util, "pip_install", pip_install, raising=False)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "/wheels")
    bare_panel.ui.installFolderButton.click()
    assert bare_panel.status.startswith("pip could not install torch>=2.6 (exit status 1). Put wheels")
    assert not bare_panel.ui.testButton.enabled


def test_test_lists_devices_with_reasons(panel: PanelDriver, backend: PanelBackend) -> None:
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.testButton.click()
    panel.wait_until(lambda: panel.ui.deviceComboBox.count == 3)
    texts = [panel.ui.deviceComboBox.itemText(n) for n in range(3)]
    assert texts[1:] == ["Test CPU, 4.0 GB free", "NVIDIA GPU: No NVIDIA GPU with a driver was found."]
    assert "The CPU is used: No NVIDIA GPU" in panel.ui.setupStatusLabel.text
    panel.picture("setup")
    panel.ui.releaseButton.click()
    assert backend.released == 1


def test_device_of_an_earlier_start_is_shown_and_can_be_left(
    volume: Any, backend: PanelBackend, open_panel: Callable[[], PanelDriver]
) -> None:
    Settings().device = "cuda:1"
    panel = open_panel()
    combo = panel.ui.deviceComboBox
    assert combo.currentText == "cuda:1, not tested yet"
    assert backend.chosen[1] == "cuda:1"
    panel.ui.testButton.click()
    panel.wait_until(lambda: combo.count == 4)
    assert combo.currentText == "cuda:1: not found"
    combo.setCurrentIndex(combo.findText("Automatic"))
    assert backend.chosen[1] == "auto"
    assert Settings().device == "auto"


def test_licence_is_asked_once_per_model(panel: PanelDriver, questions: list[str]) -> None:
    panel.run("liver")
    panel.run("spleen")
    assert len(questions) == 1
    assert "dsm-test" in questions[0]
    assert "see the model card" in questions[0], "this model's card has no row for it"


def test_models_are_shown_with_size_and_licence(
    volume: Any, open_panel: Callable[[], PanelDriver], monkeypatch: pytest.MonkeyPatch, questions: list[str]
) -> None:
    monkeypatch.setenv("DSM_MODEL_DIR", str(ROOT / "model_weights"))
    Settings().model = "dsm-small"
    opened: list[str] = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel = open_panel()
    model = panel.widget._setup.model
    assert panel.ui.modelComboBox.currentText == f"dsm-small ({model.num_bytes / 2**20:.0f} MB)"
    assert panel.ui.licenceLabel.text.startswith("CC BY-NC-SA 4.0")
    assert not panel.ui.deleteModelButton.enabled, "it came with the extension"
    panel.ui.openModelFolderButton.click()
    assert [Path(path) for path in opened] == [model.path]
    panel.run("liver")
    assert panel.ui.licenceLabel.text in questions[0]


def test_licence_refused_starts_nothing(
    panel: PanelDriver, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: False)
    panel.run("liver")
    assert backend.requests == []
    assert panel.status == "The licence of the model was not accepted."


def test_report_holds_log_and_computer(panel: PanelDriver) -> None:
    panel.run("liver")
    panel.ui.copyReportButton.click()
    report = slicer.app.clipboard().text()
    assert "DSMSegment" in report
    assert "1 found" in report
    assert "worker log" in report
