"""The section Setup where packages are missing: what it says, and what it offers instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_backends import PanelBackend
from phantoms import mask_of, plain_affine, volume_node

import DSMSegment as module
from DSMSegmentLib.install import dependencies
from DSMSegmentLib.install.pip_call import InstallError
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

INTEL_MAC = "The last PyTorch for macOS programs that are built for Intel processors is 2.2.2, which is too old."


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that the interpreter lacks."""
    missing = ["safetensors>=0.4", "torch>=2.6"]
    monkeypatch.setattr(dependencies, "missingRequirements", lambda *_: list(missing))
    monkeypatch.setattr(dependencies, "loadedTorch", lambda: "")
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", list)
    return missing


@pytest.fixture
def panel(missing: list[str], dsm_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    qt.QSettings().clear()
    monkeypatch.setenv("DSM_MODEL_DIR", str(dsm_tiny.parent))
    Settings().model = dsm_tiny.name
    volume_node(plain_affine())
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: PanelBackend({"liver": mask_of(seed=1)}))
    panel = panel_host.Panel(module)
    panel.ui.promptsTextEdit.setPlainText("liver")
    yield panel
    panel.close()
    qt.QSettings().clear()


def click(button: Any) -> None:
    QTest.mouseClick(button, qt.Qt.LeftButton)


class TestSystemWithoutPyTorch:
    """E.g. the released Slicer for macOS, which is built for Intel processors."""

    @pytest.fixture(autouse=True)
    def _system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dependencies, "why_not_local", lambda: INTEL_MAC)

    def test_is_told_at_once_and_offered_a_server(self, panel: Any) -> None:
        ui = panel.ui
        assert not ui.setupCollapsibleButton.collapsed
        assert INTEL_MAC in ui.setupStatusLabel.text
        assert INTEL_MAC in ui.applyButton.toolTip
        assert ui.setupStatusLabel.text.endswith("Choose a remote server in the Setup section.")
        assert ui.placeComboBox.visible
        assert not ui.installButton.visible, "it could only fail"
        assert ui.installFolderButton.visible, "somebody may have built it"
        panel.screenshot(panel_host.SCREENS / "no_pytorch_for_this_system.png")

    def test_with_a_server_nothing_is_missing(self, panel: Any) -> None:
        panel.ui.placeComboBox.setCurrentIndex(1)
        assert INTEL_MAC not in panel.ui.setupStatusLabel.text
        assert "server" in panel.ui.setupStatusLabel.text

    def test_that_has_pytorch_all_the_same_is_ready(self, missing: list[str], panel: Any) -> None:
        missing.clear()
        second = panel_host.Panel(module)
        assert second.ui.setupStatusLabel.text.startswith("Ready")
        second.close()


class TestInstall:
    def test_that_fails_half_way_shows_what_is_there_now(
        self, panel: Any, missing: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def install() -> None:
            missing.clear()
            raise InstallError("PyTorch was installed, but it cannot be loaded in this Slicer.", hint="Restart Slicer.")

        monkeypatch.setattr(dependencies, "installMissing", install)
        said: list[str] = []
        monkeypatch.setattr(panel.widget._setup, "_say", said.append)
        click(panel.ui.installButton)
        assert said[0].endswith("cannot be loaded in this Slicer. Restart Slicer.")
        assert not panel.ui.installButton.visible

    def test_with_a_defect_shows_what_is_there_now(
        self, panel: Any, missing: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def install() -> None:
            missing.clear()
            raise ZeroDivisionError

        traces: list[Any] = []
        monkeypatch.setattr(sys, "excepthook", lambda *error: traces.append(error[0]))
        monkeypatch.setattr(dependencies, "installMissing", install)
        assert panel.ui.installButton.visible
        click(panel.ui.installButton)
        assert not panel.ui.installButton.visible
        assert traces == [ZeroDivisionError], "it is in the log"
