"""The tools that correct a segment, by mouse in the real views, and the way back from each."""

from __future__ import annotations

from typing import Any

import pytest
from page_driver import AXIAL, changed, drag, press, segment, views, volume_ml, wait_for_volume

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
    lung.wait_for_function("document.querySelector('.dsm-threshold').innerText === '0.60'")
    assert wait_for_volume(lung, start) < start
    # The other nine: the rows come from the server, which is where the last of them has to be seen.
    lung.wait_for_function("Math.abs(window.trame.state.state.rows[0].threshold - 0.6) < 0.005")
    undo(lung, start)
    assert lung.locator(".dsm-threshold").inner_text() == "0.50"
