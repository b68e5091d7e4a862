"""The map of uncertainty over the slices: asked for, shown, hidden, and gone with its segment."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import changed, download, press, segment, views, violations
from PIL import Image

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]

# Of the pixels right of the panel: the quarter with the 3-D view.
VIEW_3D = np.s_[:400, 466:]
MAP = "Uncertainty of liver"


def hues(pixels: np.ndarray) -> int:
    """Number of hues, in steps of 30 degrees, that at least one in a thousand pixels of the slices has."""
    hsv = np.asarray(Image.fromarray(pixels[400:].astype(np.uint8)).convert("HSV"))
    colored = hsv[(hsv[..., 1] > 80) & (hsv[..., 2] > 60)]
    counts = np.bincount(colored[:, 0].astype(int) * 12 // 256, minlength=12)
    return int((counts > hsv[..., 0].size / 1000).sum())


def test_no_map_where_none_was_asked_for(page: Any) -> None:
    segment(page, "aorta")
    assert page.get_by_label("Uncertainty of aorta").count() == 0


def test_map_is_shown_over_the_slices_and_hidden_again(page: Any) -> None:
    page.locator(".dsm-options summary").click()
    page.get_by_label("Uncertainty maps").check()
    segment(page, "liver")
    page.get_by_role("button", name="liver", exact=True).click()
    before = views(page)
    toggle = page.get_by_label(MAP)
    toggle.focus()
    page.keyboard.press("Enter")
    page.get_by_text("undecided", exact=True).wait_for()
    assert toggle.get_attribute("aria-pressed") == "true"
    shown = views(page)
    assert changed(before, shown) > 0.01
    assert changed(before[VIEW_3D], shown[VIEW_3D]) == 0
    # A map has the colours between violet and yellow; the scan is grey, and a segment has one hue.
    assert hues(shown) > hues(before) + 2
    assert violations(page) == []
    page.keyboard.press("Enter")
    page.get_by_text("undecided", exact=True).wait_for(state="detached")
    assert changed(before, views(page)) == 0


def test_map_is_no_part_of_the_scene(page: Any, tmp_path: Path) -> None:
    page.get_by_label(MAP).click()
    page.get_by_text("undecided", exact=True).wait_for()
    scene = zipfile.ZipFile(download(page, "mrb", tmp_path))
    page.get_by_text("undecided", exact=True).wait_for(state="detached")
    assert not [name for name in scene.namelist() if "uncertainty" in name.lower()]
    described = next(name for name in scene.namelist() if name.endswith(".mrml"))
    assert b"uncertainty" not in scene.read(described).lower()


def test_undo_takes_the_map_away(page: Any) -> None:
    page.get_by_label(MAP).click()
    page.get_by_text("undecided", exact=True).wait_for()
    press(page, "Undo")
    page.get_by_text("undecided", exact=True).wait_for(state="detached")
    page.get_by_label("Uncertainty maps").uncheck()
    segment(page, "liver")
    page.get_by_role("button", name="liver", exact=True).wait_for()
    assert page.get_by_label(MAP).count() == 0, "the map is of a run that was taken back"


def test_another_scan_takes_the_map_away(page: Any, tmp_path: Path) -> None:
    page.get_by_label("Uncertainty maps").check()
    press(page, "Undo")
    segment(page, "liver")
    page.get_by_label(MAP).click()
    page.get_by_text("undecided", exact=True).wait_for()
    scan = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 24, 16), dtype=np.int16), np.diag([2.0, 2.0, 3.0, 1.0])), scan)
    page.set_input_files("#dsm-file", scan)
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'small'")
    assert page.get_by_text("undecided", exact=True).count() == 0
    assert (views(page).max(axis=2) - views(page).min(axis=2) > 60).mean() < 0.001, "no colour is left in the views"
