"""A real server process with the tiny model, and a real browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def address(dsm_tiny: Path) -> Iterator[str]:
    """Where the page is; the server runs for the tests of one file."""
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    command = [sys.executable, "-m", "DSMSegmentWeb", "--model", str(dsm_tiny), "--port", "0", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "DSMSegment"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if "is at" in line)
            yield re.search(r"http://\S+", line)[0]  # type: ignore[index]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is found; on Debian: apt-get install chromium, or set CHROMIUM")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=_SWITCHES)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[[], Any]]:
    """Open the page in a fresh window of 1280 x 800, and wait until a scan is shown."""
    opened = []

    def open_it() -> Any:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        opened.append(page)
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(address)
        page.wait_for_selector("#dsm-segment:not([disabled])", timeout=60_000)
        return page

    yield open_it
    for page in opened:
        page.close()
