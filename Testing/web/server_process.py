"""`dsm web` as a process, and where the browser is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@contextmanager
def running_server(model: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `dsm web`; yields the process and its address, and ends it as Ctrl+C does."""
    command = [sys.executable, "-m", "dsm", "web", "--model", str(model), "--no-browser", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "DSMSegment"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next((line for line in server.stdout if "is at" in line), "")
            assert line, "the server ended while it started"
            yield server, re.search(r"http://\S+", line)[0]  # type: ignore[index]
        finally:
            server.terminate()


@contextmanager
def running_clicking_scene(folder: Path, *models: Path) -> Iterator[str]:
    """Run `clicking_scene.py`, on the page of a model or of none; yields the address of its page."""
    script = Path(__file__).with_name("clicking_scene.py")
    command = [sys.executable, str(script), str(folder / "speeds.json"), *map(str, models)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "DSMSegment"), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as scene:
        assert scene.stdout is not None
        assert scene.stdin is not None
        try:
            yield f"http://127.0.0.1:{json.loads(scene.stdout.readline())['port']}/"
        finally:
            scene.stdin.close()
            scene.terminate()


@contextmanager
def running_browser() -> Iterator[Any]:
    """Headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is found; on Debian: apt-get install chromium, or set CHROMIUM")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=SWITCHES)
        yield running
        running.close()
