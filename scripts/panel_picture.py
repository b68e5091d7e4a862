"""Draw the panel with results of the shipped model, in the host of the tests: `panel_picture.py SCAN OUT.png`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    *(str(ROOT / "Testing" / "slicer_host" / folder) for folder in ("panel", "source", "")),
    str(ROOT / "examples"),
    str(ROOT / "DSMSegment"),
]

import slicer  # noqa: E402  (after the folders of the host are on the path)
from scene_host import SceneHost, quiet  # noqa: E402

from dsm.io.image import read_volume  # noqa: E402

# Of each kind: learned, a related name, and not known.
PROMPTS = ("liver", "spleen", "left kidney", "liver cyst", "heart")


def main(scan: str, out: str) -> None:
    """Run the prompts on a CT of the abdomen, select the first result, and write the picture."""
    quiet()
    host = SceneHost()
    import panel_host  # before our own files, which look for Slicer's classes once

    import DSMSegment
    from DSMSegmentLib.scene.mrml import setVolume

    slicer.util.confirmOkCancelDisplay = lambda *_, **__: True
    setVolume(host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT"), read_volume(Path(scan)))
    panel = panel_host.Panel(DSMSegment)
    try:
        panel.ui.promptsTextEdit.setPlainText("\n".join(PROMPTS))
        panel.ui.applyButton.click()
        while panel.widget.logic.isRunning:
            panel.process_events()
            time.sleep(0.01)
        panel.ui.resultsTable.selectRow(0)
        panel.window.resize(panel.window.width, panel.window.sizeHint().height())
        panel.screenshot(Path(out))
    finally:
        panel.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
