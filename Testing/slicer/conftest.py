"""Every test here starts with an empty scene of real MRML classes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
# The folder `Testing` itself must never be on the path: `slicer` imports every module of every folder with its own name
# that it finds there, and this folder has that name.
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer_host" / "panel"))
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer_host"))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))  # `http_server`

from scene_host import SceneHost, quiet

with contextlib.suppress(ImportError):  # without PySide6 the tests of the panel are skipped
    import panel_host  # noqa: F401  (before the module file, which looks for `qt` once)


@pytest.fixture(scope="session")
def _one_host() -> SceneHost:
    quiet()
    return SceneHost()


@pytest.fixture(autouse=True)
def host(_one_host: SceneHost) -> Iterator[SceneHost]:
    """The application stand-in, with a scene that holds nothing."""
    _one_host.publish()  # tests of other folders make hosts of their own in the same process
    _one_host.scene.Clear(True)
    yield _one_host
    _one_host.scene.Clear(True)


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
