"""Runs from the panel, from the button to the table."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from acting_backend import wait_for_cancel
from panel_backends import MASKS, PanelBackend
from phantoms import mask_in, mask_of, roi_node, segment_ids

from dsm.errors import WorkerError
from dsm.wire.messages import Progress

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def test_results_appear_one_after_another_and_cancel_keeps_them(
    panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    backend.after, backend.act = 2, wait_for_cancel
    panel.start("liver\nspleen\nleft kidney")
    panel.wait_until(lambda: len(panel.names) == 2)
    assert panel.ui.applyButton.text == "Cancel"
    assert panel.ui.progressBar.visible
    assert not panel.ui.setupCollapsibleButton.enabled
    panel.picture("running")
    start_s = time.monotonic()
    panel.cancel()
    assert time.monotonic() - start_s < 2.0
    node = panel.output
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert panel.status == "Cancelled. 2 found; not segmented: left kidney."
    assert not panel.ui.progressBar.visible


def test_failure_is_said_in_the_status_line_and_the_panel_goes_on(panel: PanelDriver, backend: PanelBackend) -> None:
    def die(_: Any) -> None:
        raise WorkerError("The worker process ended.", code="worker.died", hint="Start it again.", details="trace")

    backend.after, backend.act = 1, die
    node = panel.run("liver\nspleen")
    assert panel.status == ("The worker process ended. Start it again. 1 found; not segmented: spleen.")
    assert "trace" in panel.ui.logTextEdit.plainText
    panel.picture("failed")
    assert segment_ids(node) == ["DSM_liver"]
    backend.act = None
    assert segment_ids(panel.run("spleen")) == ["DSM_liver", "DSM_spleen"]


def test_prompt_that_finds_nothing_is_a_row_and_no_segment(panel: PanelDriver) -> None:
    node = panel.run("pancreas\nliver")
    assert segment_ids(node) == ["DSM_liver"]
    assert panel.names == ["liver", "pancreas"]
    assert panel.labels == ["found", "not found"]
    assert "not found: pancreas" in panel.status
    panel.picture("not_found")


def test_progress_shows_steps_and_the_time_left(panel: PanelDriver, backend: PanelBackend) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    panel.start("liver\nspleen")
    panel.wait_until(backend.delivered.is_set)
    backend.report(Progress(id="", stage="encode", done=3, total=10, eta=12.4))
    panel.wait_until(lambda: panel.ui.progressBar.maximum == 10)
    assert panel.ui.progressBar.value == 3
    assert panel.status == "Encoding the volume... about 12 s left"
    backend.report(Progress(id="", stage="decode", done=1, total=2))
    panel.wait_until(lambda: panel.status == "Segmenting 2 of 2...")
    panel.cancel()


def test_result_with_something_to_know_about_it_is_marked_also_in_an_opened_scene(
    panel: PanelDriver, backend: PanelBackend, host: Any, tmp_path: Path
) -> None:
    backend.masks = {**MASKS, "odd | thing": mask_of(seed=9)}
    panel.run("liver\nkidney\nodd | thing")
    assert panel.labels == ["found", "found, check", "found, check", "found, check"]
    assert panel.cells("ml")[0] == f"{MASKS['liver'].sum() * 0.7 * 1.1 * 3 / 1000:.2f}", "a small one is not 0.0 ml"
    assert "names no side" in panel.item(1, "Result").toolTip()
    assert "not in the vocabulary" in panel.item(3, "Result").toolTip()
    panel.picture("check")
    panel.reopen(host, tmp_path / "scene.mrb")
    assert panel.labels == ["found", "found, check", "found, check", "found, check"]
    assert "names no side" in panel.item(1, "Result").toolTip()


def test_label_tells_the_source_also_in_an_opened_scene(
    panel: PanelDriver, backend: PanelBackend, host: Any, tmp_path: Path
) -> None:
    backend.trained = "liver", "liver tumor", "left kidney", "right kidney"
    names = "liver", "liver cyst", "left kidney cyst", "heart"
    backend.masks = {name: mask_of(seed=seed) for seed, name in enumerate(names)}
    panel.run("\n".join(names))
    assert panel.labels == ["found", "related name, check", "image rule, check", "not known: click on it"]
    assert panel.cells("Score") == ["0.90", "–", "–", "–"]
    assert panel.status.endswith("3 found; not known to this model: heart.")
    assert "does not know 'heart'" in panel.item(3, "Result").toolTip()
    panel.ui.guessCheckBox.setChecked(True)
    panel.rerun("heart")
    labels = ["found", "related name, check", "image rule, check", "guess, check"]
    assert panel.labels == labels
    panel.picture("kinds")
    panel.reopen(host, tmp_path / "scene.mrb")
    assert panel.labels == labels


def test_policies_of_the_panel_reach_the_run(panel: PanelDriver, backend: PanelBackend, volume: Any) -> None:
    panel.run("liver")
    panel.choose_policy("Skip the prompt")
    panel.ui.postprocessCheckBox.setChecked(False)
    node = panel.run("liver\nspleen")
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
    assert panel.labels == ["found", "found", "skipped"]
    assert backend.requests[-1].prompts == ("spleen",)
    assert not backend.requests[-1].options.postprocess


def test_results_are_there_for_who_left_the_panel_during_the_run(panel: PanelDriver, backend: PanelBackend) -> None:
    leave = threading.Event()
    backend.after, backend.act = 1, lambda _: leave.wait(20)
    panel.start("liver\nspleen")
    panel.widget.exit()
    leave.set()
    panel.wait_for_end()
    panel.widget.enter()
    assert panel.names == ["liver", "spleen"]
    assert segment_ids(panel.output) == ["DSM_liver", "DSM_spleen"]
    assert panel.ui.undoButton.enabled


def test_region_limits_the_run(panel: PanelDriver, volume: Any) -> None:
    panel.ui.roiSelector.setCurrentNode(roi_node(volume, (3, 4, 3), (6, 8, 5)))
    mask = mask_in(panel.run("liver"), "DSM_liver", volume)
    assert mask.any()
    mask[3:6, 4:8, 3:5] = 0
    assert not mask.any()


def test_button_says_why_it_cannot_be_pressed(panel: PanelDriver) -> None:
    assert panel.ui.applyButton.toolTip == "Type what to segment first, one structure per line."
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.ui.inputVolumeSelector.setCurrentNode(None)
    assert panel.ui.applyButton.toolTip == "Select a CT or MR volume first."
