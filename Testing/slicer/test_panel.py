"""The panel as a user meets it: the module's own code in a window of real Qt widgets, with the real worker."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from patience import PATIENCE_S
from phantoms import segment_ids
from real_runs import LARGE, body_node, counted_clients, process_until

import DSMSegment as module
from DSMSegmentLib import WorkerBackend, volumeFromNode
from DSMSegmentLib.jobs.run_estimate import speedOf
from DSMSegmentLib.panel.settings import Settings
from DSMSegmentLib.panel.summary import estimateText
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.roi import boxFromRoi

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")

pytestmark = [pytest.mark.xdist_group("slicer_worker"), pytest.mark.usefixtures("questions")]

SCREENS = panel_host.SCREENS
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
    Settings().keepEncodingSpeeds({})


@pytest.fixture
def volume() -> Any:
    return body_node()


@pytest.fixture
def panel(volume: Any, backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    panel = panel_host.Panel(module)
    yield panel
    monkeypatch.setattr(backend, "close", lambda: None)  # the worker stays warm for the next test
    panel.close()


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


def start(panel: Any, prompts: str) -> None:
    panel.ui.promptsTextEdit.setPlainText(prompts)
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel", panel.ui.statusLabel.text


def finish(panel: Any) -> None:
    process_until(panel, lambda: not panel.widget.logic.isRunning)


def test_cancel_during_encoding_takes_effect_within_two_seconds(panel: Any) -> None:
    panel.ui.inputVolumeSelector.setCurrentNode(body_node(LARGE, "Large"))
    start(panel, PROMPTS)
    process_until(panel, lambda: panel.ui.statusLabel.text.startswith("Encoding the volume"))
    before = slicer.mrmlScene.GetNumberOfNodes()
    start_s = time.monotonic()
    panel.ui.applyButton.click()
    finish(panel)
    # Two seconds until the worker is killed, and one for a machine that is busy.
    assert time.monotonic() - start_s < 3.0
    assert panel.ui.statusLabel.text.startswith("Cancelled. 0 found; not segmented: liver, spleen, liver tumor")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_killed_worker_is_said_and_the_next_run_works(panel: Any, backend: WorkerBackend, volume: Any) -> None:
    panel.ui.inputVolumeSelector.setCurrentNode(body_node(LARGE, "Large"))
    start(panel, PROMPTS)
    process_until(panel, lambda: panel.ui.statusLabel.text.startswith("Encoding the volume"))
    os.kill(backend.workerPid, signal.SIGKILL)
    finish(panel)
    assert "ended unexpectedly" in panel.ui.statusLabel.text
    assert "Start it again" in panel.ui.statusLabel.text
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    start(panel, "liver")
    finish(panel)
    assert segment_ids(panel.ui.outputSegmentationSelector.currentNode()) == ["DSM_liver"]


def test_threshold_of_a_result_moves_without_the_network(panel: Any, backend: WorkerBackend) -> None:
    start(panel, "liver")
    finish(panel)
    node = panel.ui.outputSegmentationSelector.currentNode()
    volume_ml = panel.widget._results._table.rows[0].volumeMl
    panel.ui.resultsTable.selectRow(0)
    assert panel.ui.resultThresholdSlider.enabled
    panel.ui.resultThresholdSlider.value = 0.2
    process_until(panel, lambda: panel.widget._results._table.rows[0].volumeMl != volume_ml)
    more = panel.widget._results._table.rows[0].volumeMl
    assert more > volume_ml
    panel.ui.resultThresholdSlider.value = 0.5
    process_until(panel, lambda: panel.widget._results._table.rows[0].volumeMl != more)
    # The map has 11 bits: voxels on the very edge may differ.
    assert panel.widget._results._table.rows[0].volumeMl == pytest.approx(volume_ml, rel=0.02)
    assert segment_ids(node) == ["DSM_liver"]


def test_second_volume_shows_what_it_will_take_before_a_run(panel: Any, backend: WorkerBackend) -> None:
    shape = (61, 60, 45)  # of no other test here: it is not encoded yet
    label = panel.ui.estimateLabel
    panel.ui.inputVolumeSelector.setCurrentNode(body_node(shape, "First"))
    start(panel, "liver")
    assert not label.visible
    finish(panel)
    first_s = panel.widget.logic._job.encodeSeconds
    for _ in range(5):
        panel.process_events()
    assert not label.visible, "the volume is encoded already"
    large = body_node(LARGE, "Large")
    panel.ui.inputVolumeSelector.setCurrentNode(large)
    process_until(panel, lambda: label.visible)
    estimate = panel.widget._estimate._estimates.of(volumeFromNode(large), backend.engine)
    proportional_s = first_s * np.prod(LARGE) / np.prod(shape)
    assert 1 / 1.5 < estimate.seconds / proportional_s < 1.5
    assert label.text == estimateText(estimate)
    # It is remembered for the next time.
    assert list(Settings().encodingSpeeds) == [backend.engine.key]


def test_region_is_read_and_estimated_alone_until_the_whole_volume_is_known(panel: Any, backend: WorkerBackend) -> None:
    label = panel.ui.estimateLabel
    shape = (152, 75, 56)  # of no other test here
    node = body_node(shape, "Long")
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    center = ijkToRAS(node) @ [76, 37, 28, 1]
    roi.SetCenter(*center[:3])
    roi.SetSize(60, 60, 60)
    panel.ui.roiSelector.setCurrentNode(roi)
    start(panel, "liver")
    finish(panel)
    process_until(panel, lambda: Settings().encodingSpeeds != {})
    for _ in range(5):
        panel.process_events()
    assert not label.visible, "the region is encoded already"
    # A quick machine reads both in a second or less, and would say the same of both.
    volume, engine = volumeFromNode(node), backend.engine
    estimates = panel.widget._estimate._estimates
    estimates.learn(engine, speedOf(volume, engine, 100.0))

    def estimated(condition: Callable[[str], bool]) -> str:
        process_until(panel, lambda: label.visible and condition(label.text))
        return str(label.text)

    # It is dragged to another place: something new would have to be read, but less than the whole.
    roi.SetCenter(center[0] + 30, *center[1:3])
    part = estimated(lambda _: True)
    panel.ui.roiSelector.setCurrentNode(None)
    whole = estimated(lambda text: text != part)
    assert whole == estimateText(estimates.of(volume, engine))
    assert part == estimateText(estimates.of(volume, engine, boxFromRoi(roi, node)))
    assert estimates.of(volume, engine).seconds > 1.3 * estimates.of(volume, engine, boxFromRoi(roi, node)).seconds
    start(panel, "liver")
    finish(panel)
    assert panel.widget.logic._job.encodeSeconds is not None
    panel.ui.roiSelector.setCurrentNode(roi)
    start(panel, "liver")
    finish(panel)
    assert panel.widget.logic._job.encodeSeconds is None, "the whole volume serves every region"
    for _ in range(5):
        panel.process_events()
    assert not label.visible


def test_setup_tests_the_real_worker_and_gives_a_first_estimate(panel: Any, backend: WorkerBackend) -> None:
    label, status = panel.ui.estimateLabel, panel.ui.setupStatusLabel
    large = body_node(LARGE, "Large")
    panel.ui.inputVolumeSelector.setCurrentNode(large)
    for _ in range(5):
        panel.process_events()
    assert not label.visible, "nothing is known before the first run or test"
    panel.ui.testButton.click()
    process_until(panel, lambda: "PyTorch" in panel.ui.statusLabel.text)
    assert panel.ui.deviceComboBox.count >= 2
    assert status.text == "Measuring the encoding speed..."
    assert not panel.ui.testButton.enabled
    process_until(panel, lambda: label.visible)
    estimate = panel.widget._estimate._estimates.of(volumeFromNode(large), backend.engine)
    assert label.text == estimateText(estimate)
    assert status.text.startswith("Ready.")
    assert panel.ui.testButton.enabled
    # A measurement is not a run: it is not kept for the next time.
    assert Settings().encodingSpeeds == {}


def test_run_that_begins_during_a_test_uses_the_same_worker(
    volume: Any, dsm_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = counted_clients(monkeypatch)
    own = WorkerBackend(environment={"OMP_NUM_THREADS": "1"})
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: own)
    panel = panel_host.Panel(module)
    panel.ui.testButton.click()
    start(panel, PROMPTS)
    finish(panel)
    assert "Finished" in panel.ui.statusLabel.text
    process_until(panel, lambda: panel.ui.testButton.enabled)
    assert len(started) == 1
    panel.close()


def test_closing_during_a_run_leaves_no_process_and_no_file(
    volume: Any, dsm_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = WorkerBackend(environment={"OMP_NUM_THREADS": "1"})
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: own)
    panel = panel_host.Panel(module)
    panel.ui.inputVolumeSelector.setCurrentNode(body_node(LARGE, "Large"))
    start(panel, PROMPTS)
    process_until(panel, lambda: panel.ui.statusLabel.text.startswith("Encoding the volume"))
    pid, folder = own.workerPid, own._client.folder
    assert folder.is_dir()
    panel.close()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()
