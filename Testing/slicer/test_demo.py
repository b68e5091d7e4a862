"""The demo program, on a small volume and the tiny model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import slicer
from phantoms import affine_of, segment_ids
from scene_host import SceneHost

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.xdist_group("slicer_worker")


@pytest.fixture
def demo(host: SceneHost, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module, in the scene of the tests."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "demo", module)  # dataclasses look their module up
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SceneHost", lambda: host)
    return module


def test_writes_scene_segmentation_and_picture(
    demo: ModuleType, host: SceneHost, dsm_tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voxels = np.full((20, 30, 34), -1000, np.int16)
    voxels[3:17, 4:26, 5:29] = 40
    affine = affine_of(np.diag([-1.0, -1.0, 1.0]), (3.0, 3.0, 4.0))
    host.saveNode(slicer.util.addVolumeFromArray(voxels, affine, "Small"), tmp_path / "small.nrrd")
    out = tmp_path / "made here"
    volume_path = tmp_path / "small.nrrd"
    arguments = [
        "--model",
        str(dsm_tiny),
        "--volume",
        str(volume_path),
        "--prompts",
        "liver; spleen",
        "--out",
        str(out),
    ]
    status = demo.main(arguments)
    said = capsys.readouterr()
    assert status == 0, said.err
    assert sorted(path.name for path in out.iterdir()) == ["demo.mrb", "demo.seg.nrrd", "overview.png"]
    assert (out / "overview.png").read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in said.out.splitlines() if line.startswith(("liver", "spleen"))]
    found = [row[0] for row in rows if row[1].startswith("found")]
    assert [row[0] for row in rows] == ["liver", "spleen"]
    host.loadScene(out / "demo.mrb")
    volume = slicer.util.getNode("small")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), voxels)
    assert segment_ids(slicer.util.getNode("demo")) == [f"DSM_{name}" for name in found]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--model", "dsm-nowhere"], "No model"), (["--prompts", " "], "no prompt"), (["--volume", "no.nrrd"], "read")],
)
def test_what_cannot_work_is_said_in_one_line(
    demo: ModuleType, arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--out", str(tmp_path / "out"), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert not (tmp_path / "out").exists()
