"""The panel as a user meets it: the module's own code in a window of real Qt widgets, with the real worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import affine_of, obliqueness, segment_ids

import DSMSegment as module
from DSMSegmentLib import WorkerBackend
from DSMSegmentLib.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")

pytestmark = pytest.mark.xdist_group("slicer_worker")

SCREENS = Path(__file__).parent / "screens"
PROMPTS = "liver\nspleen\nliver tumor"


@pytest.fixture(scope="module")
def backend() -> Iterator[WorkerBackend]:
    backend = WorkerBackend(environment={"OMP_NUM_THREADS": "1"})
    yield backend
    backend.close()


@pytest.fixture(autouse=True)
def tiny_model(dsm_tiny: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that the user has chosen: `dsm-tiny` under a name that the panel does not hide."""
    folder = tmp_path_factory.getbasetemp() / "models"
    if not folder.exists():
        shutil.copytree(dsm_tiny, folder / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    Settings().model = "dsm-test"


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every modal question, answered with OK."""
    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    return asked


@pytest.fixture
def volume() -> Any:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 44, 30)), indexing="ij")
    voxels = np.where(np.sqrt(sum(axis**2 for axis in axes)) < 0.9, 40, -1000).astype(np.int16)
    affine = affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0]), (3.0, 2.5, 4.0))
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine, "Body")


@pytest.fixture
def panel(volume: Any, backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    panel = panel_host.Panel(module)
    yield panel
    monkeypatch.setattr(backend, "close", lambda: None)  # the worker stays warm for the next test
    panel.close()


def process_until(panel: Any, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, panel.ui.statusLabel.text
        panel.process_events()
        time.sleep(0.005)


def test_type_and_press_segment(panel: Any, volume: Any) -> None:
    assert panel.ui.inputVolumeSelector.currentNode() is volume
    assert not panel.ui.applyButton.enabled
    panel.ui.promptsTextEdit.setPlainText(PROMPTS)
    assert panel.ui.applyButton.enabled
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel", panel.ui.statusLabel.text
    process_until(panel, lambda: not panel.widget.logic.isRunning)
    node = panel.ui.outputSegmentationSelector.currentNode()
    assert node is not None
    assert segment_ids(node), "the tiny model found nothing: the test is void"
    assert panel.ui.applyButton.text == "Segment"
    panel.screenshot(SCREENS / "finished.png")
