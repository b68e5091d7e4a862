"""Longest time that the panel blocks the event loop, on a CT of full size with large organs.

Measured in the host of `Testing/slicer_host/panel`: the longest time between two iterations of the event
loop, in processor time (wall time would count the other programs of this machine, and is printed beside it).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
HOST = Path(__file__).parents[1] / "slicer_host"
sys.path.insert(0, str(HOST / "panel"))
sys.path.insert(0, str(HOST))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import slicer  # noqa: E402  (after the host's folders are on the path)
from scene_host import SceneHost, quiet  # noqa: E402

MAX_BLOCKED_IN_RUN_S = 0.1
MAX_BLOCKED_S = 0.2  # by what the user does between runs
SHAPE = (512, 512, 300)
ORGANS = {  # centre and radii in voxels: a liver, a spleen, kidneys, a stomach, an aorta
    "liver": ((190, 250, 150), (110, 100, 70)),
    "spleen": ((380, 300, 160), (50, 60, 40)),
    "left kidney": ((350, 320, 110), (35, 35, 45)),
    "right kidney": ((170, 320, 100), (35, 35, 45)),
    "stomach": ((320, 220, 170), (70, 50, 40)),
    "aorta": ((256, 300, 150), (15, 15, 140)),
}


def ellipsoid(centre: tuple[int, ...], radii: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8, order="F")
    box = tuple(slice(c - r, c + r + 1) for c, r in zip(centre, radii, strict=True))
    axes = np.meshgrid(*(np.linspace(-1, 1, 2 * r + 1) for r in radii), indexing="ij")
    mask[box] = sum(axis**2 for axis in axes) <= 1
    return mask


@pytest.mark.bench
def test_event_loop_is_blocked_for_at_most_100_ms(
    dsm_tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet()
    SceneHost()
    import panel_host
    import qt
    from panel_backends import PanelBackend

    import DSMSegment as module

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: True)
    voxels = np.random.default_rng(0).integers(-1000, 400, SHAPE[::-1], dtype=np.int16)
    slicer.util.addVolumeFromArray(voxels, np.diag([-0.8, -0.8, 1.5, 1.0]), "CT")
    backend = PanelBackend({name: ellipsoid(*where) for name, where in ORGANS.items()})
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    panel = panel_host.Panel(module)
    turns: list[tuple[float, float]] = []

    def turn() -> None:
        cpu, wall = time.thread_time(), time.monotonic()
        qt.QCoreApplication.processEvents(qt.QEventLoop.AllEvents, 1)
        turns.append((time.thread_time() - cpu, time.monotonic() - wall))
        time.sleep(0.002)

    def measured(name: str, action: Any, until: Any) -> float:
        turns.clear()
        cpu, start = time.thread_time(), time.monotonic()
        action()
        turns.append((time.thread_time() - cpu, time.monotonic() - start))
        deadline = time.monotonic() + 120
        while not until():
            assert time.monotonic() < deadline
            turn()
        worst = max(one for one, _ in turns)
        with capsys.disabled():
            wall = max(one for _, one in turns)
            print(f"\n{name:10s} longest turn {worst * 1e3:4.0f} ms of processor, {wall * 1e3:4.0f} ms of wall")
        return worst

    panel.ui.promptsTextEdit.setPlainText("\n".join(ORGANS))
    idle = lambda: not panel.widget.logic.isRunning  # noqa: E731
    worst = [measured("run", panel.ui.applyButton.click, idle)]
    node = panel.ui.outputSegmentationSelector.currentNode()
    is_in_3d = lambda: node.GetSegmentation().ContainsRepresentation("Closed surface")  # noqa: E731
    start = time.thread_time()
    measured("Show 3D", panel.ui.show3DButton.click, is_in_3d)
    surfaces_s, worst_surface = time.thread_time() - start, max(one for one, _ in turns)
    worst_in_3d = measured("run in 3D", panel.ui.applyButton.click, idle)
    measured("after it", lambda: None, is_in_3d)
    panel.ui.show3DButton.click()
    panel.ui.resultsTable.selectRow(0)
    before = panel.ui.resultsTable.item(0, 3).text()
    worst.append(
        measured(
            "threshold",
            lambda: setattr(panel.ui.resultThresholdSlider, "value", 0.3),
            lambda: not panel.widget._results._threshold._timer.active,
        )
    )
    worst.append(measured("edit", panel.ui.editButton.click, lambda: True))
    panel.close()
    assert before
    assert worst[0] < MAX_BLOCKED_IN_RUN_S
    assert worst_in_3d < MAX_BLOCKED_IN_RUN_S
    assert max(worst) < MAX_BLOCKED_S
    # Slicer makes a surface in one go: that of the liver is half of all six.
    assert worst_surface < 0.75 * surfaces_s
