"""A reader's day on a real CT, with the shipped model: every gesture of the hand is counted.

A gesture is a press or a drag of a button, a turn of the wheel, a key or a chord of keys, or a word that is typed.
Looking at something, and pointing at it without a press, is none.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import AXIAL, IDLE, wait_until_sent

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("DSM_DATA_DIR", _BESIDE)) / "lits"
CASE = "lits_043"
MOST_GESTURES = 25

pytestmark = [
    pytest.mark.bench,  # the shipped model on a whole CT: two minutes of an idle machine
    pytest.mark.xdist_group("web"),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (DATA / f"{CASE}_img.nii.gz").is_file(),
        reason=f"no data here: set DSM_DATA_DIR to a folder with lits/{CASE}",
    ),
]
BACKEND = "dsm-small"

_PLACE = re.compile(r"([RL]) ([\d.]+), ([AP]) ([\d.]+), ([SI]) ([\d.]+) mm: (\S+)")


class Reader:
    """Hands and eyes of a reader.

    Args:
        page: Of the browser.

    Attributes:
        gestures: What was done, in words.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.gestures: list[str] = []

    def press(self, what: str, target: Any) -> None:
        self.gestures.append(f"press {what}")
        target.click()

    def press_at(self, what: str, x: float, y: float, *, key: str = "") -> None:
        self.gestures.append(f"{key + '+' if key else ''}click {what}")
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.click(x, y)
        if key:
            self.page.keyboard.up(key)

    def type(self, words: str) -> None:
        self.gestures += [f"type {word}" for word in words.split()]
        self.page.keyboard.type(words)

    def key(self, chord: str) -> None:
        self.gestures.append(chord)
        self.page.keyboard.press(chord)

    def turn_wheel_to(self, number: int) -> None:
        """Scroll the axial view to a slice, in one turn."""
        self.gestures.append(f"wheel to slice {number}")
        self.page.mouse.move(*AXIAL)
        for _ in range(200):
            here = self.slice_number()
            if here == number:
                return
            self.page.mouse.wheel(0, -120 if number > here else 120)
            self.page.wait_for_function(
                "here => document.querySelector('.dsm-slice-position').innerText.split(' / ')[0] !== here",
                arg=str(here),
            )
        raise AssertionError(f"slice {number} is not reached")

    def slice_number(self) -> int:
        return int(self.page.locator(".dsm-slice-position").first.inner_text().split(" / ")[0])

    def look_at(self, x: float, y: float) -> tuple[np.ndarray, float]:
        """Point at a place of a view; returns where it is (RAS mm) and the value there."""
        self.page.mouse.move(x, y + 1)
        self.page.wait_for_timeout(1000)
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(1500)
        text = self.page.locator(".dsm-slice-value").inner_text()
        side, r, front, a, up, s, value = _PLACE.match(text).groups()
        signs = [1 if side == "R" else -1, 1 if front == "A" else -1, 1 if up == "S" else -1]
        return np.array([float(r), float(a), float(s)]) * signs, float(value)

    def find(self, ras_mm: np.ndarray) -> tuple[float, float]:
        """Return where in the axial view a place of the patient is."""
        x, y = AXIAL
        (here, _), (there, _) = self.look_at(x, y), self.look_at(x + 60, y + 60)
        pixels_a_mm = 60 / (there - here)[:2]
        return tuple(np.array([x, y]) + (ras_mm - here)[:2] * pixels_a_mm)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2.0 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def wait_for_mask(page: Any, points: int) -> None:
    page.wait_for_function(
        "points => window.trame.state.state.num_clicks === points && !window.trame.state.state.running", arg=points
    )
    page.wait_for_timeout(2000)
    page.wait_for_function("!window.trame.state.state.running")


def row_of(page: Any, name: str) -> dict[str, Any]:
    rows = page.evaluate("window.trame.state.state.rows")
    return next(row for row in rows if row["name"] == name)


def test_from_the_file_to_the_archive(page: Any, tmp_path: Path, record_property: Any) -> None:
    scan = nibabel.load(DATA / f"{CASE}_img.nii.gz")
    label = np.asarray(nibabel.load(DATA / f"{CASE}_seg.nii.gz").dataobj)
    tumor = label == 2
    voxel = np.argwhere(tumor).mean(axis=0).round()
    lesion_mm = (scan.affine @ [*voxel, 1.0])[:3]
    reader = Reader(page)

    # Open.
    with page.expect_file_chooser() as chooser:
        reader.press("Open file", page.get_by_role("button", name="Open file"))
    reader.gestures.append("choose the file")
    chooser.value.set_files(DATA / f"{CASE}_img.nii.gz")
    page.wait_for_function("name => document.querySelector('.dsm-volume')?.innerText === name", arg=f"{CASE}_img")

    # All organs.
    reader.press("All learned organs", page.locator(".dsm-learned button").first)
    page.locator("#dsm-cancel").wait_for()
    page.wait_for_selector(IDLE, timeout=900_000)
    assert row_of(page, "liver")["id"]

    # A tumor by click.
    reader.turn_wheel_to(int(voxel[2]) + 1)
    x, y = reader.find(lesion_mm)
    reader.press("the prompt box", page.locator(".dsm-prompt input"))
    reader.type("liver tumor")
    reader.press("Click", page.locator(".dsm-click-new"))
    page.locator(".dsm-click-bar").wait_for()
    wait_until_sent(page)
    reader.press_at("the tumor", x, y)
    wait_for_mask(page, 1)

    # Correct it, change one's mind, and change it again.
    first = row_of(page, "liver tumor")["note"]
    reader.press_at("beside the tumor", x + 40, y, key="Control")
    wait_for_mask(page, 2)
    second = row_of(page, "liver tumor")["note"]
    reader.key("Control+z")
    wait_for_mask(page, 1)
    assert row_of(page, "liver tumor")["note"] == first
    reader.key("Control+y")
    wait_for_mask(page, 2)
    assert row_of(page, "liver tumor")["note"] == second
    reader.key("Escape")

    # Measure: volume and density.
    volume_ml = float(second.split()[0])
    _, hu = reader.look_at(x, y)
    assert -20 < hu < 150

    # Take it over, and take all of it home.
    reader.press("More for liver tumor", page.get_by_role("button", name="More for liver tumor", exact=True))
    reader.press("Mark as reviewed", page.locator(".v-overlay--active .v-list-item", has_text="Mark as reviewed"))
    page.get_by_text("reviewed", exact=True).wait_for()
    with page.expect_download(timeout=300_000) as started:
        reader.press("Download all", page.get_by_role("link", name="Download all"))
    archive = tmp_path / started.value.suggested_filename
    started.value.save_as(archive)

    # Read back.
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
        rows = list(csv.DictReader(io.StringIO(packed.read(f"{CASE}_img.csv").decode("utf-8-sig"), newline="")))
    values = {row["name"]: number for number, row in enumerate(rows, start=1) if row["volume_ml"]}
    labels = np.asarray(nibabel.load(tmp_path / f"{CASE}_img.nii.gz").dataobj)
    written = next(row for row in rows if row["name"] == "liver tumor")
    assert float(written["volume_ml"]) == pytest.approx(volume_ml, abs=0.06)
    assert written["reviewed"] == "yes"
    liver = np.isin(labels, [values["liver"], values["liver tumor"]])
    agreement = {"liver": dice(liver, label > 0), "tumor": dice(labels == values["liver tumor"], tumor)}
    count = len(reader.gestures)
    record_property("gestures", count)
    record_property("dice", agreement)
    assert agreement["liver"] > 0.85
    assert agreement["tumor"] > 0.5
    assert count <= MOST_GESTURES, "; ".join(reader.gestures)
