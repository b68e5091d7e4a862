"""Latency of the page: from scrolling one slice, or a new window, to the new frame.

Other work on the machine makes every wall time longer: a fixed piece of work, timed between the events, says by how
much, and the limit is that much higher. The CPU time of the scene's process is printed beside it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))

from page_driver import IDLE
from server_process import running_browser, running_server

from dsm.io.image import read_volume

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

LIMIT_MS = 100.0
NUM_EVENTS = 25
AXIAL = (567, 200)

# Notes when a picture of a view is there, and which one.
WATCH = """
window.drawn = [];
document.addEventListener("load", (event) => {
  if (event.target.matches?.("img.image-display-area")) window.drawn.push([performance.now(), event.target]);
}, true);
"""
# Waits until the views are at rest, makes one event, and returns the milliseconds to the axial picture and the number
# of pictures in the half second after it.
ONE_EVENT = """async ([kind, number, x, y]) => {
  const now = () => performance.now();
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const axial = document.querySelector("img.image-display-area[alt^=Axial]");
  while (window.drawn.length && now() - window.drawn.at(-1)[0] < 600) await sleep(50);
  window.drawn.length = 0;
  const start = now();
  if (kind === "scroll") {
    const deltaY = Math.floor(number / 6) % 2 ? 120 : -120;
    document.elementFromPoint(x, y).dispatchEvent(
      new WheelEvent("wheel", { deltaY, clientX: x, clientY: y, bubbles: true, cancelable: true }));
  } else window.trame.state.set("shown_window", 300 + 10 * number);
  let first;
  while (!(first = window.drawn.find((entry) => entry[1] === axial))) {
    if (now() - start > 20000) return null;
    await sleep(1);
  }
  await sleep(500);
  return [first[0] - start, window.drawn.length];
}"""


def cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000.0 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slowdown() -> float:
    """Wall time over CPU time of 20 ms of work: 1 on an idle machine."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < 0.02:
        np.sort(np.arange(10_000)[::-1])
    return (time.perf_counter() - wall) / (time.process_time() - cpu)


def answers(page: Any, kind: str, scene_pid: int, title: str) -> tuple[float, float]:
    """Median milliseconds of an answer, and how much slower the machine is than an idle one."""
    page.mouse.move(*AXIAL)  # the view under the mouse is drawn more often
    rows, loads = [], []
    before = cpu_ms(scene_pid)
    for number in range(NUM_EVENTS):
        found = page.evaluate(ONE_EVENT, [kind, number, *AXIAL])
        loads.append(slowdown())
        if found is not None:  # at the last slice there is nothing new to draw
            rows.append(found)
    cpu = (cpu_ms(scene_pid) - before) / NUM_EVENTS
    assert len(rows) > NUM_EVENTS / 2, "the events have no effect"
    times = [row[0] for row in rows]
    median, load = statistics.median(times), statistics.median(loads)
    pictures = statistics.median(row[1] for row in rows)
    print(
        f"\n{title}, {kind}: median {median:.0f} ms, 90 % within {np.quantile(times, 0.9):.0f} ms; "
        f"{cpu:.0f} CPU-ms of the scene for {pictures:.0f} pictures; machine {load:.1f} times slower than idle"
    )
    return median, load


@pytest.fixture(scope="module")
def browser() -> Any:
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    with running_browser() as running:
        yield running


# A median of wall times says something on an idle machine only.
@pytest.mark.parametrize(("shape", "limit_ms"), [(None, LIMIT_MS), ((512, 512, 300), 2 * LIMIT_MS)])
def test_frame_latency(
    shape: tuple[int, int, int] | None, limit_ms: float, demo_ct: Path, dsm_tiny: Path, browser: Any, tmp_path: Path
) -> None:
    scan = demo_ct if shape is None else enlarged(demo_ct, shape, tmp_path / "large.nrrd")
    with running_server(dsm_tiny, str(scan)) as (server, address):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(address, timeout=200_000)
        page.wait_for_selector(IDLE, timeout=120_000)
        page.wait_for_timeout(3000)
        scene_pid = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])
        title = "demo CT" if shape is None else "×".join(map(str, shape))
        measured = [answers(page, kind, scene_pid, title) for kind in ("scroll", "window")]
        page.close()
    for median, load in measured:
        assert median <= limit_ms * max(load, 1.0)


def enlarged(demo_ct: Path, shape: tuple[int, int, int], path: Path) -> Path:
    """The demo CT with more voxels."""
    import SimpleITK as sitk
    from scipy.ndimage import zoom

    volume = read_volume(demo_ct)
    factors = [n / m for n, m in zip(shape, volume.shape, strict=True)]
    voxels = zoom(volume.array.astype(np.int16), factors, order=1)
    image = sitk.GetImageFromArray(voxels.transpose(2, 1, 0))
    image.SetSpacing([3.0 / factors[0], 3.0 / factors[1], 10.0 / factors[2]])
    sitk.WriteImage(image, str(path), useCompression=False)
    return path
