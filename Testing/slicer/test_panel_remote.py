"""The panel with a server: address, token, test, consent, and runs; the server is a real one on this machine."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from http_server import TOKENS, Server
from phantoms import mask_in, segment_ids
from real_runs import LARGE, body_node, node_ids, process_until, wait_until

import DSMSegment as module
from dsm.models.store import no_click_network
from DSMSegmentLib import WorkerBackend
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402

pytestmark = pytest.mark.xdist_group("slicer_worker")

SCREENS = panel_host.SCREENS
TOKEN = TOKENS["anna"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running.wait_until_ready()


@pytest.fixture
def volume() -> Any:
    return body_node()


@pytest.fixture
def panel(volume: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    qt.QSettings().clear()
    monkeypatch.setattr(
        "DSMSegmentLib.install.dependencies.missingRequirements", lambda: ["torch>=2.6"]
    )  # none is needed here
    panel = panel_host.Panel(module)
    panel.ui.placeComboBox.setCurrentIndex(1)
    yield panel
    panel.close()
    qt.QSettings().clear()


def enter(panel: Any, address: str, token: str = TOKEN) -> None:
    panel.ui.serverAddressEdit.setText(address)
    panel.ui.serverTokenEdit.setText(token)
    panel.ui.serverTokenEdit.editingFinished.emit()


def answer_of(panel: Any, address: str, token: str = TOKEN) -> str:
    """Enter a server, press *Test connection*, and return what the panel says."""
    enter(panel, address, token)
    panel.ui.testConnectionButton.click()
    assert not panel.ui.testConnectionButton.enabled
    process_until(panel, lambda: panel.ui.testConnectionButton.enabled)
    return str(panel.ui.connectionLabel.text)


def start(panel: Any, prompts: str) -> None:
    panel.ui.promptsTextEdit.setPlainText(prompts)
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel", panel.ui.statusLabel.text


def finish(panel: Any) -> Any:
    process_until(panel, lambda: not panel.widget.logic.isRunning)
    return panel.ui.outputSegmentationSelector.currentNode()


class TestConnection:
    def test_a_server_that_is_there_is_named(self, panel: Any, server: Server) -> None:
        assert panel.ui.remoteWidget.visible
        assert not panel.ui.localWidget.visible
        assert "Enter the address" in panel.ui.setupStatusLabel.text
        text = answer_of(panel, server.address)
        assert text.startswith(f"✓ {server.address} serves dsm-tiny")
        assert panel.ui.setupStatusLabel.text.startswith(f"Volumes are sent to {server.address}")
        panel.screenshot(SCREENS / "remote.png")

    def test_click_button_is_disabled_once_the_server_has_said_that_it_takes_no_clicks(
        self, panel: Any, server: Server
    ) -> None:
        enter(panel, server.address)
        panel.ui.promptsTextEdit.setPlainText("schwannoma")
        assert panel.ui.clickButton.enabled
        answer_of(panel, server.address)
        assert not panel.ui.clickButton.enabled
        assert panel.ui.clickButton.toolTip == no_click_network("dsm-tiny").one_line
        enter(panel, server.address.replace("127.0.0.1", "localhost"))
        assert panel.ui.clickButton.enabled

    @pytest.mark.parametrize(
        ("address", "token", "text"),
        [
            ("http://127.0.0.1:1", TOKEN, "nothing listens on port 1"),
            ("", "token-of-nobody-0123456789", "does not know this token"),
            ("ftp://server", TOKEN, "is not the address of a server"),
        ],
    )
    def test_what_is_wrong_is_said(self, panel: Any, server: Server, address: str, token: str, text: str) -> None:
        said = answer_of(panel, address or server.address, token)
        assert said.startswith("! ")
        assert text in said
        assert token not in panel.widget._log.text

    def test_a_server_that_says_nothing_does_not_hold_up_the_window(self, panel: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            enter(panel, f"http://127.0.0.1:{silent.getsockname()[1]}")
            panel.ui.testConnectionButton.click()
            turns = []
            for _ in range(30):
                began = time.thread_time()
                panel.process_events()
                turns.append(time.thread_time() - began)
            assert panel.ui.connectionLabel.text == "Contacting the server..."
            assert max(turns) < 0.1
            panel.ui.placeComboBox.setCurrentIndex(0)
            assert not panel.widget.logic.isRunning

    def test_an_answer_about_the_server_before_is_dropped(self, panel: Any, server: Server) -> None:
        enter(panel, "http://127.0.0.1:1")
        panel.ui.testConnectionButton.click()
        enter(panel, server.address)
        assert panel.ui.connectionLabel.text == ""
        assert answer_of(panel, server.address).startswith("✓")

    def test_it_comes_back_with_the_next_panel_but_not_with_the_scene(
        self, panel: Any, server: Server, tmp_path: Path, host: Any
    ) -> None:
        enter(panel, server.address)
        second = panel_host.Panel(module)
        assert second.ui.serverAddressEdit.text == server.address
        assert second.ui.serverTokenEdit.text == TOKEN
        assert second.ui.serverTokenEdit.echoMode == qt.QLineEdit.Password
        assert second.ui.placeComboBox.currentIndex == 1
        second.close()
        host.saveScene(tmp_path / "scene.mrml")
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


class TestConsent:
    def test_refusing_sends_nothing(self, panel: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, **_: bool(asked.append(text)))
        enter(panel, server.address)
        lines, before = len(server.log), node_ids()
        panel.ui.promptsTextEdit.setPlainText("liver")
        for _ in range(2):  # it is asked again
            panel.ui.applyButton.click()
            assert not panel.widget.logic.isRunning
        assert panel.ui.statusLabel.text == "Nothing was sent: consent was not given."
        assert len(asked) == 2
        for part in (server.address, "voxels", "prompts", "Names, identifiers and dates", "NOT ENCRYPTED"):
            assert part in asked[0]
        time.sleep(0.2)
        assert len(server.log) == lines
        assert node_ids() == before

    def test_it_is_asked_once_for_each_server(self, panel: Any, server: Server, questions: list[str]) -> None:
        enter(panel, server.address)
        for _ in range(2):
            start(panel, "liver")
            finish(panel)
        assert len(questions) == 1
        other = server.address.replace("127.0.0.1", "localhost")
        enter(panel, other)
        start(panel, "liver")
        finish(panel)
        assert len(questions) == 2
        assert other in questions[1]


@pytest.mark.usefixtures("questions")
class TestRun:
    def test_segments_are_those_of_this_computer(self, panel: Any, server: Server, volume: Any, dsm_tiny: Path) -> None:
        enter(panel, server.address)
        start(panel, "liver\nkidneys")
        remote = finish(panel)
        masks = {name: mask_in(remote, name, volume) for name in segment_ids(remote)}
        assert masks, "the tiny model found nothing: the test is void"
        assert panel.ui.statusLabel.text.startswith("Finished in")
        rows = panel.widget._results._table.rows
        assert [row.name for row in rows] == ["liver", "left kidney", "right kidney"]
        local = WorkerBackend(str(dsm_tiny), environment={"OMP_NUM_THREADS": "1"})
        panel.widget.logic.use(local)
        panel.ui.outputSegmentationSelector.setCurrentNode(None)
        start(panel, "liver\nkidneys")
        here = finish(panel)
        assert here is not remote
        assert segment_ids(here) == list(masks)
        for name, mask in masks.items():
            assert (mask_in(here, name, volume) == mask).all()

    def test_threshold_and_undo_work_as_for_a_local_run(self, panel: Any, server: Server) -> None:
        enter(panel, server.address)
        start(panel, "liver")
        node = finish(panel)
        ml = panel.widget._results._table.rows[0].volumeMl
        panel.ui.resultsTable.selectRow(0)
        panel.ui.resultThresholdSlider.value = 0.2
        process_until(panel, lambda: panel.widget._results._table.rows[0].volumeMl > ml)
        panel.ui.undoButton.click()
        assert node.GetScene() is None

    def test_cancel_takes_effect_within_two_seconds(self, panel: Any, server: Server) -> None:
        enter(panel, server.address)
        panel.ui.inputVolumeSelector.setCurrentNode(body_node(LARGE, "Large"))
        start(panel, "liver\nspleen")
        process_until(panel, lambda: panel.ui.statusLabel.text.startswith("Encoding the volume"))
        before = node_ids()
        start_s = time.monotonic()
        panel.ui.applyButton.click()
        finish(panel)
        assert time.monotonic() - start_s < 3.0
        assert panel.ui.statusLabel.text.startswith("Cancelled. 0 found; not segmented: liver, spleen")
        assert node_ids() == before

    def test_changing_to_this_computer_removes_the_volume_from_the_server(self, panel: Any, server: Server) -> None:
        enter(panel, server.address)
        start(panel, "liver")
        finish(panel)
        assert server.voxel_files
        panel.ui.placeComboBox.setCurrentIndex(0)
        assert panel.ui.localWidget.visible
        assert isinstance(panel.widget.logic.backend, WorkerBackend)
        assert "packages are missing" in panel.ui.setupStatusLabel.text
        wait_until(lambda: server.voxel_files == [])
        assert not Settings().isRemote

    def test_a_server_that_is_killed_is_said_and_the_scene_is_as_before(self, panel: Any, tmp_path: Path) -> None:
        with Server(tmp_path / "own") as own:
            own.wait_until_ready()
            enter(panel, own.address)
            panel.ui.inputVolumeSelector.setCurrentNode(body_node(LARGE, "Large"))
            start(panel, "liver\nspleen")
            process_until(panel, lambda: panel.ui.statusLabel.text.startswith("Encoding the volume"))
            before = node_ids()
            own.process.send_signal(signal.SIGKILL)
            finish(panel)
            text = panel.ui.statusLabel.text
            assert "dsm serve" in text or "broke off" in text
            assert "not segmented: liver, spleen" in text
            assert node_ids() == before
            panel.screenshot(SCREENS / "remote_lost.png")
