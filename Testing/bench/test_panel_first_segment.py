"""From the click on Segment to the first segment in the scene: the first time, and once the volume is encoded.

The demo's chest CT, the shipped model, the real worker, the panel in its test host; both times from one process.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
slicerio = pytest.importorskip("slicerio")
HOST = Path(__file__).parents[1] / "slicer_host"
sys.path.insert(0, str(HOST / "panel"))
sys.path.insert(0, str(HOST))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import slicer  # noqa: E402  (after the host's folders are on the path)
from scene_host import SceneHost, quiet  # noqa: E402

ROOT = Path(__file__).parents[2]
MAX_RATIO = 0.05


@pytest.mark.bench
def test_later_prompt_takes_at_most_a_twentieth_of_the_first_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (ROOT / "model_weights" / "dsm-small" / "model.safetensors").is_file():
        pytest.skip("the weights of dsm-small are not here")
    quiet()
    host = SceneHost()
    import panel_host

    import DSMSegment as module

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: True)
    host.loadVolume(Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd", "CTChest")
    panel = panel_host.Panel(module)
    table = panel.ui.resultsTable

    def click_to_first(prompts: str) -> float:
        panel.ui.promptsTextEdit.setPlainText(prompts)
        done: list[Any] = []
        monkeypatch.setattr(panel.widget._run, "_onResult", done.append)
        start_s = time.monotonic()
        panel.ui.applyButton.click()
        while not done:
            assert time.monotonic() - start_s < 280, panel.ui.statusLabel.text
            panel.process_events()
            time.sleep(0.002)
        seconds = time.monotonic() - start_s
        while panel.widget.logic.isRunning:
            panel.process_events()
        return seconds

    first = click_to_first("right lung\nleft lung\naorta")
    later = click_to_first("liver\nspleen")
    panel.ui.promptsTextEdit.setPlainText("right lung\nleft lung\naorta\nliver\nspleen")
    panel.ui.advancedCollapsibleButton.collapsed = False
    if table.rowCount:
        table.selectRow(0)
    panel.window.resize(panel.window.width, 1240)  # all rows of the table
    panel.screenshot(tmp_path / "panel.png")
    panel.close()
    with capsys.disabled():
        print(f"\nfirst run {first:.1f} s to the first segment, encoded volume {later:.2f} s: {later / first:.3f}")
        print(tmp_path / "panel.png")
    assert later / first < MAX_RATIO
