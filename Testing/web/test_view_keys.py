"""Arrow keys and double-clicks in the views, and what they must leave alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from page_driver import AXIAL, CORONAL, changed, press, segment, views, violations, volume_ml, wait_until_sent

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(1500)]
BACKEND = "clicking scene"


def slices(page: Any) -> list[int]:
    """Numbers of the axial, coronal and sagittal slice."""
    return [int(text.split(" / ")[0]) for text in page.locator(".dsm-slice-position").all_inner_texts()]


def wait_for_slices(page: Any, *expected: int) -> None:
    page.wait_for_function(
        "expected => [...document.querySelectorAll('.dsm-slice-position')]"
        ".map((item) => item.innerText.split(' / ')[0]).join() === expected",
        arg=",".join(map(str, expected)),
    )


def step(page: Any, key: str, *expected: int) -> None:
    page.keyboard.press(key)
    wait_for_slices(page, *expected)


def box(page: Any, title: str) -> tuple[int, int]:
    """Width and height of a view."""
    found = page.locator(".layout-grid-item", has=page.get_by_text(title, exact=True)).bounding_box()
    return round(found["width"]), round(found["height"])


def test_arrow_keys_step_the_slices_of_the_view_under_the_mouse(page: Any) -> None:
    axial, coronal, sagittal = slices(page)
    page.mouse.move(*AXIAL)
    step(page, "ArrowUp", axial + 1, coronal, sagittal)
    step(page, "ArrowRight", axial + 2, coronal, sagittal)
    page.mouse.move(*CORONAL)
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "before => !document.querySelectorAll('.dsm-slice-position')[1].innerText.startsWith(before)",
        arg=f"{coronal} /",
    )
    moved = slices(page)
    assert (moved[0], abs(moved[1] - coronal), moved[2]) == (axial + 2, 1, sagittal)
    step(page, "ArrowUp", axial + 2, coronal, sagittal)
    page.mouse.move(*AXIAL)
    step(page, "ArrowLeft", axial + 1, coronal, sagittal)
    step(page, "ArrowDown", axial, coronal, sagittal)


def test_keys_stop_at_the_last_slice(page: Any) -> None:
    axial, coronal, sagittal = slices(page)
    for number in range(axial - 1, 0, -1):
        step(page, "ArrowDown", number, coronal, sagittal)
    page.keyboard.press("ArrowDown")
    wait_until_sent(page)
    assert slices(page) == [1, coronal, sagittal]
    for number in range(2, axial + 1):
        step(page, "ArrowUp", number, coronal, sagittal)


def test_text_box_and_dialog_keep_their_arrow_keys(page: Any) -> None:
    before = slices(page)
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("spleen")
    page.keyboard.press("Escape")
    page.mouse.move(*AXIAL)
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("X")
    assert page.locator(".dsm-prompt input").input_value() == "spleeXn"
    page.locator(".dsm-prompt input").fill("")
    page.locator("#dsm-status").focus()
    page.keyboard.press("?")
    keys = page.locator(".dsm-keys")
    keys.wait_for()
    assert "Double-click" in keys.inner_text()
    assert "Arrow keys" in keys.inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
    wait_until_sent(page)
    assert slices(page) == before


def test_double_click_shows_one_view_and_all_again(page: Any) -> None:
    page.mouse.move(100, 780)
    before, four = views(page), box(page, "Coronal")
    page.mouse.dblclick(*CORONAL)
    page.get_by_role("button", name="Show all views").wait_for()
    alone = views(page)
    if folder := os.environ.get("DSM_SCREENSHOTS"):
        page.screenshot(path=Path(folder, "web-one-view.png"))
    assert box(page, "Coronal") == (950, 800)
    assert changed(before, alone) > 0.2
    assert violations(page) == []
    page.mouse.move(800, 400)
    now = slices(page)
    page.keyboard.press("ArrowUp")
    page.wait_for_function(
        "before => !document.querySelectorAll('.dsm-slice-position')[1].innerText.startsWith(before)", arg=f"{now[1]} /"
    )
    step(page, "ArrowDown", *now)
    page.mouse.dblclick(800, 400)
    page.get_by_role("button", name="Maximize the Coronal view").wait_for()
    page.mouse.move(100, 780)
    assert changed(before, views(page)) < 0.01, "slices, zoom, window and surfaces are what they were"
    assert box(page, "Coronal") == four


def test_one_view_by_its_button_survives_a_reload(page: Any) -> None:
    page.get_by_role("button", name="Maximize the 3D view").click()
    page.get_by_role("button", name="Show all views").wait_for()
    wait_until_sent(page)
    page.reload()
    page.get_by_role("button", name="Show all views").wait_for()
    assert box(page, "3D") == (950, 800)
    page.get_by_role("button", name="Show all views").click()
    page.get_by_role("button", name="Maximize the 3D view").wait_for()


def test_two_clicks_of_a_tool_are_two_clicks(page: Any) -> None:
    segment(page, "liver")
    page.get_by_label("Click on liver").click()
    page.locator(".dsm-click-bar").wait_for()
    wait_until_sent(page)
    page.mouse.dblclick(*AXIAL)
    page.wait_for_function("window.trame.state.state.num_clicks === 2 && !window.trame.state.state.running")
    assert page.get_by_role("button", name="Show all views").count() == 0
    now = slices(page)
    step(page, "ArrowUp", now[0] + 1, *now[1:])  # a lesion is clicked in more than one slice
    page.keyboard.press("Escape")
    page.locator(".dsm-click-bar").wait_for(state="detached")


def test_slider_that_was_used_last_does_not_take_the_keys_of_a_view(page: Any) -> None:
    press(page, "Paint")
    brush = page.evaluate("window.trame.state.state.brush_mm")
    page.get_by_role("slider", name="Diameter of the brush in millimetres").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("expected => window.trame.state.state.brush_mm === expected", arg=brush + 1)
    page.mouse.move(200, 400)
    page.mouse.move(*AXIAL)
    now, before = slices(page), volume_ml(page)
    step(page, "ArrowUp", now[0] + 1, *now[1:])
    step(page, "ArrowDown", *now)
    assert page.evaluate("window.trame.state.state.brush_mm") == brush + 1
    assert volume_ml(page) == before, "no key paints"
    press(page, "Paint")
