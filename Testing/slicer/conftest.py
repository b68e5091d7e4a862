"""Every test here starts with an empty scene of real MRML classes."""

from __future__ import annotations

import contextlib
import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
# The folder `Testing` itself must never be on the path: `slicer` imports every module of every folder with its own name
# that it finds there, and this folder has that name.
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer_host" / "source"))
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer_host" / "panel"))
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer_host"))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))  # `scene_host`
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))  # `http_server`

from error_log import ErrorLog
from exporter_view import SCALARS, array_names
from scene_host import SceneHost, quiet

with contextlib.suppress(ImportError):  # without PySide6 the tests of the panel are skipped
    import panel_host  # noqa: F401  (before our own files, which look for `qt` once)
from panel_backends import MASKS, PanelBackend
from patience import PATIENCE_S
from phantoms import plain_affine, volume_node

if TYPE_CHECKING:
    from panel_driver import PanelDriver

_SEGMENTATION = "vtkMRMLSegmentationNode"


@pytest.fixture(scope="session")
def _one_host() -> SceneHost:
    quiet()
    return SceneHost()


@pytest.fixture(autouse=True)
def host(_one_host: SceneHost, request: pytest.FixtureRequest) -> Iterator[SceneHost]:
    """The application stand-in, with a scene that holds nothing; nothing may be left in its error log.

    Tests of what is broken on purpose take the fixture `expect_errors`.
    """
    _one_host.publish()  # tests of other folders make hosts of their own in the same process
    log = ErrorLog()
    log.start()
    _one_host.scene.Clear(True)
    import slicer

    logic = slicer.app.applicationLogic()
    for scene in (None, _one_host.scene):  # it adds the nodes for selection and interaction, which the clearing removed
        logic.SetMRMLScene(scene)
    yield _one_host
    unnamed = _unnamed_masks(_one_host.scene)
    _one_host.scene.Clear(True)
    log.stop()
    assert bool(log.messages) == ("expect_errors" in request.fixturenames), log.messages
    assert unnamed == []


@pytest.fixture(autouse=True)
def lesions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel waits for the list of lesions, however busy the machine is."""
    monkeypatch.setattr("DSMSegmentLib.panel.lesion_section._QUICK_S", PATIENCE_S)


@pytest.fixture
def expect_errors() -> None:
    """Something is left in the error log."""


def _unnamed_masks(scene: Any) -> list[str]:
    """Return the segments from prompts that Slicer's exporter would not find."""
    nodes = [scene.GetNthNodeByClass(n, _SEGMENTATION) for n in range(scene.GetNumberOfNodesByClass(_SEGMENTATION))]
    return [
        segment_id
        for node in nodes
        for segment_id, name in array_names(node).items()
        if name not in (None, SCALARS) and node.GetSegmentation().GetSegment(segment_id).HasTag("DSM.Prompt")
    ]


@pytest.fixture(scope="module", autouse=True)
def _collected_here() -> Iterator[None]:
    """Closed panels are collected before tests of other folders start threads without a guard in the same process."""
    yield
    gc.collect()


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every modal question, answered with OK."""
    import slicer

    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    return asked


@pytest.fixture
def panel_settings(dsm_tiny: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a first start, with one model, and a language model for free text."""
    qt = pytest.importorskip("panel_host", reason="PySide6 is not installed").qt
    from DSMSegmentLib.panel.settings import Settings

    folder = tmp_path_factory.getbasetemp() / "panel-models"
    if not folder.exists():
        shutil.copytree(dsm_tiny, folder / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    qt.QSettings().clear()
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", list)  # whatever this interpreter has
    Settings().model = "dsm-test"


@pytest.fixture
def volume() -> Any:
    """A small CT of noise."""
    return volume_node(plain_affine())


@pytest.fixture
def backend() -> PanelBackend:
    """The backend of each panel of the test."""
    return PanelBackend(dict(MASKS))


@pytest.fixture
def open_panel(
    panel_settings: None, backend: PanelBackend, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], PanelDriver]]:
    """Open a panel: `open_panel()`, as often as wanted; each is closed at the end of the test."""
    from panel_driver import PanelDriver

    import DSMSegment as module

    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    with contextlib.ExitStack() as opened:

        def open_one() -> PanelDriver:
            panel = PanelDriver(module, backend)
            opened.callback(panel.close)
            return panel

        yield open_one


@pytest.fixture
def panel(volume: Any, open_panel: Callable[[], PanelDriver]) -> PanelDriver:
    """A panel on the volume."""
    return open_panel()
