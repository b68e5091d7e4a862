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
sys.path[:0] = [{host!r}, {panel!r}, {module!r}, {examples!r}]
from scene_host import SceneHost, quiet
quiet()
SceneHost()
import panel_host
import acting_backend, panel_backends
import DSMSegment
from phantoms import mask_of, plain_affine, segment_ids, volume_node
import slicer
slicer.util.confirmOkCancelDisplay = lambda *_, **__: True
volume_node(plain_affine())

def run(panel):
    backend = panel_backends.PanelBackend({{"liver": mask_of()}})
    panel.widget.logic.use(backend)
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.ui.applyButton.click()
    while panel.widget.logic.isRunning:
        panel.process_events()
    return backend

panel = panel_host.Panel(DSMSegment)
backend, widget = run(panel), panel.widget
old = sys.modules["DSMSegmentLib.jobs.job"]
slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
widget.onReload()
assert backend.closed == 1
assert panel.widget is not widget
assert sys.modules["DSMSegmentLib.jobs.job"] is not old
for module in (acting_backend, panel_backends):  # they hold what the reload has replaced
    importlib.reload(module)
run(panel)
assert segment_ids(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
panel.close()
print("reloaded")
"""


def test_panel_works_after_a_reload(dsm_tiny: Path) -> None:
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    folders = {"host": HOST, "panel": HOST / "panel", "module": ROOT / "DSMSegment", "examples": ROOT / "examples"}
    code = CODE.format(**{name: str(folder) for name, folder in folders.items()})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().endswith("reloaded"), done.stderr
