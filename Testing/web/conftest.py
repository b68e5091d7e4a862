"""Real server processes with the tiny model, and a real browser that looks at them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from page_driver import IDLE
from server_process import ROOT, running_browser, running_clicking_scene, running_server

StartServer = Callable[..., Any]
# Of a machine that is busy with other things: how long something takes is not what these tests ask.
_PATIENCE_MS = 200_000
WINDOW = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True}


@pytest.fixture(scope="module")
def start_server(dsm_tiny: Path) -> Callable[..., Any]:
    """Start a server of one's own: `with start_server("--port", "8123") as (process, address)`."""
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    return lambda *arguments, model=dsm_tiny: running_server(model, *arguments)


@pytest.fixture(scope="session")
def dsm_small() -> Path:
    """The folder of trained weights: where a test needs a segment of the size and form of an organ."""
    folder = ROOT / "model_weights" / "dsm-small"
    if not (folder / "manifest.json").is_file():
        pytest.skip("dsm-small is not here")
    return folder


@pytest.fixture(scope="module")
def address(
    start_server: StartServer, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the page that the tests of one file share.

    Where the file says `BACKEND = "clicking scene"`, that of `clicking_scene.py`; with `"clicking scene, dsm-tiny"`, of
    the same on the page of the tiny model; with `"dsm-small"`, that of a server with the trained weights; else that of
    one with the tiny model.
    """
    backend = getattr(request.module, "BACKEND", "dsm-tiny")
    if backend.startswith("clicking scene"):
        pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
        models = [request.getfixturevalue("dsm_tiny")] if backend.endswith("dsm-tiny") else []
        with running_clicking_scene(tmp_path_factory.mktemp("scene"), *models) as where:
            yield where
        return
    chosen = {"model": request.getfixturevalue("dsm_small")} if backend == "dsm-small" else {}
    with start_server(**chosen) as (_, where):
        yield where


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, one for all files: on a busy machine it takes up to a minute to start and to end."""
    with running_browser() as running:
        yield running


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Any]]:
    """Open an address in a browser of its own, of 1280 x 800, with all motion, and wait until a scan is shown."""
    contexts = []

    def open_it(where: str) -> Any:
        contexts.append(browser.new_context(**WINDOW))
        return opened(contexts[-1], where)

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """One page for the tests of one file: what one leaves is what the next one finds.

    It is asked for less motion: without a graphics card, each frame of a bar that moves is drawn by the processor.
    """
    context = browser.new_context(**WINDOW, reduced_motion="reduce")
    yield opened(context, address)
    context.close()


def opened(context: Any, where: str) -> Any:
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(where)
    page.wait_for_selector(IDLE)
    return page
