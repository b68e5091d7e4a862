"""The tools that correct a segment, by mouse in the real views, and the way back from each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import (
    AXIAL,
    IDLE,
    changed,
    download,
    drag,
    press,
    prompt,
    segment,
    views,
    violations,
    volume_ml,
    wait_for_volume,
    wait_until_sent,
)
from scipy import ndimage

from dsm.core.volume import Volume
from dsm.io.image import read_volume
from dsm.io.seg_nrrd_reader import read_segments

slicerio = pytest.importorskip("slicerio", reason="slicerio is not installed")

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "dsm-small"


@pytest.fixture(scope="module")
def lung(page: Any) -> Any:
    """The page with one segment, selected."""
    segment(page, "right lung")
    page.locator(".dsm-rows button.dsm-name").first.click()
    page.locator(".dsm-tools").wait_for()
    return page


def undo(page: Any, expected_ml: float) -> None:
    now = volume_ml(page)
    press(page, "Undo")
    assert wait_for_volume(page, now) == pytest.approx(expected_ml, abs=0.05)


@pytest.fixture(scope="module")
def scan() -> Volume:
    """The scan that the page starts with."""
    return read_volume(Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd")


def mask_of(page: Any, folder: Path, shape: tuple[int, ...], number: int = 0) -> np.ndarray:
    """The mask of a result on the grid of the scan, as the page exports it."""
    record = read_segments(download(page, "seg.nrrd", folder))[number]
    mask = np.zeros(shape, bool)
    mask[record.mask.box.slices] = record.mask.array != 0
    return mask


def fill(page: Any, label: str, value: float) -> None:
    page.get_by_label(label).fill(f"{value:g}")
    page.get_by_label(label).press("Tab")
    wait_until_sent(page)


def around(width: int) -> list[tuple[int, int]]:
    x, y = AXIAL
    return [(x - width, y - width), (x + width, y - width), (x + width, y + width), (x - width, y + width)]


def test_erase_and_paint_change_the_volume_where_the_brush_was(lung: Any) -> None:
    start = volume_ml(lung)
    before = views(lung)
    x, y = AXIAL
    press(lung, "Erase")
    drag(lung, [(x - 60, y), (x + 60, y)])
    erased = wait_for_volume(lung, start)
    assert erased < start
    press(lung, "Paint")
    drag(lung, [(x - 60, y), (x + 60, y)])
    painted = wait_for_volume(lung, erased)
    assert painted > erased
    lung.mouse.move(100, 780)
    press(lung, "Paint")  # put it down, so that the brush is not in the picture
    undo(lung, erased)
    undo(lung, start)
    assert changed(before, views(lung)) < 0.01


def test_scissors_cut_through_all_slices(lung: Any) -> None:
    start = volume_ml(lung)
    press(lung, "Cut")
    drag(lung, around(40))
    cut = wait_for_volume(lung, start)
    press(lung, "Cut")
    undo(lung, start)
    press(lung, "Keep")
    drag(lung, around(40))
    kept = wait_for_volume(lung, start)
    press(lung, "Keep")
    undo(lung, start)
    assert 0 < kept < start
    assert cut + kept == pytest.approx(start, rel=0.01), "what one takes away is what the other keeps"


def test_filters_at_one_press(lung: Any) -> None:
    start = volume_ml(lung)
    press(lung, "Paint")
    lung.get_by_role("slider", name="Diameter of the brush in millimetres").focus()
    for _ in range(4):
        lung.keyboard.press("ArrowLeft")
    lung.mouse.click(AXIAL[0] + 110, AXIAL[1] - 50)  # a speck in the other lung
    with_speck = wait_for_volume(lung, start)
    press(lung, "Paint")
    assert start < with_speck < start + 1
    for name in ("Keep largest", "Remove small"):
        press(lung, name)
        # Without the speck, and without what the mask itself has in parts that touch at a corner only.
        assert start - 1 < wait_for_volume(lung, with_speck) < start + 0.05, name
        undo(lung, with_speck)
    press(lung, "Smooth")
    smooth = wait_for_volume(lung, with_speck)
    assert smooth == pytest.approx(start, rel=0.1)
    undo(lung, with_speck)
    undo(lung, start)


def test_threshold_moves_with_the_keyboard_and_one_undo_takes_it_back(lung: Any) -> None:
    start = volume_ml(lung)
    slider = lung.get_by_role("slider", name="Threshold of the segment")
    slider.focus()
    for _ in range(10):
        lung.keyboard.press("ArrowRight")
    lung.wait_for_function("document.querySelector('.dsm-threshold')?.innerText === '0.60'")
    assert wait_for_volume(lung, start) < start
    # The other nine: the rows come from the server, which is where the last of them has to be seen.
    lung.wait_for_function("Math.abs(window.trame.state.state.rows[0].threshold - 0.6) < 0.005")
    undo(lung, start)
    assert lung.locator(".dsm-threshold").inner_text() == "0.50"


def test_grow_and_shrink_by_millimetres(lung: Any, scan: Volume, tmp_path: Path) -> None:
    start, before = volume_ml(lung), mask_of(lung, tmp_path, scan.shape)
    fill(lung, "Millimetres to grow or shrink by", 7)
    press(lung, "Grow")
    wait_for_volume(lung, start)
    grown = ndimage.distance_transform_edt(~before, sampling=scan.spacing_mm) <= 7
    np.testing.assert_array_equal(mask_of(lung, tmp_path, scan.shape), grown)
    undo(lung, start)
    press(lung, "Shrink")
    shrunk = wait_for_volume(lung, start)
    assert shrunk < start
    press(lung, "Undo")
    wait_for_volume(lung, shrunk)
    press(lung, "Redo")
    assert wait_for_volume(lung, start) == shrunk
    undo(lung, start)
    fill(lung, "Millimetres to grow or shrink by", 0.5)
    press(lung, "Grow")
    lung.get_by_text("The distance is less than that of two voxels").wait_for()
    lung.get_by_label("Close the message").click()
    assert volume_ml(lung) == start


def test_brush_spares_what_is_out_of_its_range_of_intensities(lung: Any, scan: Volume, tmp_path: Path) -> None:
    start, before = volume_ml(lung), mask_of(lung, tmp_path, scan.shape)
    x, y = AXIAL
    press(lung, "Paint")
    lung.get_by_label("Only HU").check()
    fill(lung, "Lowest intensity that the brush changes", 200)
    fill(lung, "Highest intensity that the brush changes", -100)  # in whatever order
    assert violations(lung) == []
    way = [(x - 60, y), (x + 160, y)]
    drag(lung, way)
    limited = wait_for_volume(lung, start)
    added = mask_of(lung, tmp_path, scan.shape) & ~before
    assert added.any()
    assert -100 <= scan.array[added].min() <= scan.array[added].max() <= 200
    undo(lung, start)
    lung.get_by_label("Only HU").uncheck()
    wait_until_sent(lung)
    drag(lung, way)
    assert wait_for_volume(lung, start) > limited
    added = mask_of(lung, tmp_path, scan.shape) & ~before
    assert scan.array[added].min() < -100
    press(lung, "Paint")
    undo(lung, start)


def test_slices_that_were_left_out_are_filled(lung: Any, scan: Volume, tmp_path: Path) -> None:
    prompt(lung, "skull")
    lung.get_by_role("button", name="Draw skull").wait_for()
    lung.wait_for_selector(IDLE)
    lung.get_by_role("button", name="Draw skull").click()
    lung.wait_for_function("window.trame.state.state.tool === 'paint'")
    wait_until_sent(lung)
    for steps in (0, 4):
        for _ in range(steps):
            here = lung.locator(".dsm-slice-position").first.inner_text()
            lung.keyboard.press("ArrowUp")
            lung.wait_for_function("here => document.querySelector('.dsm-slice-position').innerText !== here", arg=here)
        painted = volume_ml(lung, 1)
        lung.mouse.click(AXIAL[0] + 4 * steps, AXIAL[1])
        lung.wait_for_function(
            "before => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[1].innerText) > before",
            arg=painted,
        )
    press(lung, "Paint")
    before = mask_of(lung, tmp_path, scan.shape, 1)
    others = mask_of(lung, tmp_path, scan.shape)
    painted = volume_ml(lung, 1)
    press(lung, "Fill between slices")
    lung.wait_for_function(
        "before => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[1].innerText) > before",
        arg=painted,
    )
    after = mask_of(lung, tmp_path, scan.shape, 1)
    slices = np.flatnonzero(before.any(axis=(0, 1)))
    assert len(slices) < slices.max() - slices.min() + 1
    assert after.any(axis=(0, 1))[slices.min() : slices.max() + 1].all()
    np.testing.assert_array_equal(after[..., slices], before[..., slices])
    np.testing.assert_array_equal(mask_of(lung, tmp_path, scan.shape), others)
    press(lung, "Fill between slices")
    lung.get_by_text("No slices were left out between painted ones").wait_for()
