"""Reload in Slicer's developer mode: the libraries are read anew, and the panel works after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOST = ROOT / "Testing" / "slicer_host"
CODE = """
import importlib, sys
sys.path[:0] = [{host!r}, {panel!r}, {module!r}]
from scene_host import SceneHost, quiet
quiet()
SceneHost()
import panel_host
import DSMSegment
from panel_backends import PanelBackend
from phantoms import mask_of, plain_affine, segment_ids, volume_node
import slicer
slicer.util.confirmOkCancelDisplay = lambda *_, **__: True
volume_node(plain_affine())

def run(module):
    backend = PanelBackend({{"liver": mask_of()}})
    module.WorkerBackend = lambda **_: backend
    panel = panel_host.Panel(module)
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.ui.applyButton.click()
    while panel.widget.logic.isRunning:
        panel.process_events()
    return panel, backend

panel, backend = run(DSMSegment)
old = sys.modules["DSMSegmentLib.job"]
panel.close()
assert backend.closed == 1
panel.widget.onReload()
assert not any(name.partition(".")[0] in ("DSMSegmentLib", "dsm") for name in sys.modules)
# What Slicer's base class does.
module = importlib.reload(DSMSegment)
assert sys.modules["DSMSegmentLib.job"] is not old
panel, _ = run(module)
assert segment_ids(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
panel.close()
print("reloaded")
"""


def test_panel_works_after_a_reload(dsm_tiny: Path) -> None:
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    code = CODE.format(host=str(HOST), panel=str(HOST / "panel"), module=str(ROOT / "DSMSegment"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().endswith("reloaded"), done.stderr
