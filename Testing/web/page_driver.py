"""Driver of the page for tests: type prompts, inspect the views, download files."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# The middle of the axial view, the upper left one of four right of the panel, and that of the coronal one below it. The
# page moves to a segment there when it is selected.
AXIAL, CORONAL = (567, 200), (567, 600)
IDLE = "#dsm-segment:not([disabled])"


def views(page: Any) -> np.ndarray:
    """The pixels right of the panel, `[rows, columns, 3]`, once they are at rest."""
    before = None
    for _ in range(40):
        page.wait_for_timeout(500)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").crop((340, 0, 1280, 800))
        pixels = np.asarray(image, dtype=np.int16)
        if before is not None and np.array_equal(before, pixels):
            return pixels
        before = pixels
    raise AssertionError("the views do not come to rest")


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """Fraction of the pixels that are visibly different."""
    return float((np.abs(after - before).max(axis=2) > 20).mean())


def prompt(page: Any, text: str) -> None:
    """Type prompts and run them."""
    page.locator(".dsm-prompt input").click()
    page.keyboard.type(text)
    page.keyboard.press("Control+Enter")


def segment(page: Any, text: str) -> None:
    """Run prompts until there is a result."""
    prompt(page, text)
    page.wait_for_selector(".dsm-rows button.dsm-name", timeout=280_000)
    page.wait_for_selector(IDLE, timeout=280_000)


def names(page: Any) -> list[str]:
    """The names in the list of results."""
    return list(page.locator(".dsm-rows .dsm-name").all_inner_texts())


def volume_ml(page: Any, row: int = 0) -> float:
    """The volume of a row in millilitres."""
    return float(page.locator(".dsm-rows li .dsm-note").nth(row).inner_text().split()[0])


def wait_for_volume(page: Any, other_than: float) -> float:
    """Wait until the volume of the first row changes; returns the new one in millilitres."""
    page.wait_for_function(
        "before => parseFloat(document.querySelector('.dsm-rows li .dsm-note').innerText) !== before", arg=other_than
    )
    return volume_ml(page)


def press(page: Any, name: str) -> None:
    """Press a button, and wait until the server has followed."""
    page.get_by_role("button", name=name, exact=True).click()
    wait_until_sent(page)


def wait_until_sent(page: Any) -> None:
    """Wait until the browser has sent its state, and the server has answered every call.

    A change of state waits in the browser while a call is under way: an event that follows at once overtakes it.
    """
    page.wait_for_function("() => window.trame.state.dirtyKeys.size === 0 && !window.trame.client.isBusy()")


def drag(page: Any, points: list[tuple[int, int]]) -> None:
    """Draw with the left button, as slowly as a hand does: moves that come faster than a view can take are dropped."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for (x0, y0), (x1, y1) in pairwise(points):
        for step in range(1, 9):
            page.mouse.move(x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8)
            page.wait_for_timeout(40)
    page.mouse.up()


def download(page: Any, kind: str, folder: Path) -> Path:
    """Press an export button and keep the file."""
    with page.expect_download() as started:
        page.get_by_role("link", name=f".{kind}", exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def violations(page: Any) -> list[str]:
    """Return the serious and critical violations that axe-core finds, one line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {node['html'][:200]}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]
