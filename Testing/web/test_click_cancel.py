"""A run of clicks that lasts: seen, and cancelled by the mouse and by a key, on a backend that never answers it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from page_driver import AXIAL, names, press, prompt, violations, wait_until_sent

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"
UNANSWERED = "chordoma"  # as in `clicking_scene.py`, when the last click is outside
_SEEN = """() => {
    const { rows, num_clicks, can_undo, can_redo, tool } = window.trame.state.state;
    const results = rows.map(({ name, note, mark }) => [name, note, mark]);
    return JSON.stringify([results, num_clicks, can_undo, can_redo, tool]);
}"""


def settle(page: Any) -> str:
    """Wait until nothing runs, on the server neither; returns what the page says of the results."""
    page.wait_for_function("!window.trame.state.state.running")
    wait_until_sent(page)
    return str(page.evaluate(_SEEN))


def click_outside(page: Any) -> None:
    page.keyboard.down("Control")
    page.mouse.click(AXIAL[0] + 15, AXIAL[1])
    page.keyboard.up("Control")
    page.locator("#dsm-click-cancel").wait_for()


def wait_for_progress(page: Any) -> None:
    page.locator(".dsm-click-run").get_by_text("Segmenting").wait_for()
    assert page.get_by_role("progressbar", name="Progress of the click").is_visible()
    assert page.locator("#dsm-cancel").is_visible()


@pytest.fixture(scope="module")
def clicked(page: Any) -> str:
    """Words of the page after two clicks, the second of which was undone."""
    page.locator(".dsm-prompt input").click()
    page.keyboard.type(UNANSWERED)
    page.locator(".dsm-hints").get_by_text(UNANSWERED).wait_for()
    press(page, "Click")
    page.locator(".dsm-click-bar").wait_for()
    wait_until_sent(page)
    for step in range(2):
        before = page.evaluate("window.trame.state.state.rows[0].note")
        page.mouse.click(AXIAL[0] + 30 * step, AXIAL[1])
        page.wait_for_function("before => window.trame.state.state.rows[0].note !== before", arg=before)
        settle(page)
    page.keyboard.press("Backspace")
    page.wait_for_function("window.trame.state.state.can_redo && window.trame.state.state.num_clicks === 1")
    return settle(page)


def test_button_in_the_bar_cancels(page: Any, clicked: str) -> None:
    click_outside(page)
    wait_for_progress(page)
    assert page.locator(".dsm-click-count").inner_text() == "2 points"
    if folder := os.environ.get("DSM_SCREENSHOTS"):
        page.screenshot(path=Path(folder, "web-click-cancel.png"))
    assert violations(page) == []
    button = page.locator("#dsm-click-cancel").bounding_box()
    page.mouse.click(button["x"] + button["width"] / 2, button["y"] + button["height"] / 2)
    page.locator(".dsm-click-note").get_by_text("Cancelled").wait_for()
    assert settle(page) == clicked
    assert page.inner_text("#dsm-status") == "Cancelled."


def test_escape_cancels_and_then_leaves_the_tool(page: Any, clicked: str) -> None:
    click_outside(page)
    wait_for_progress(page)
    page.keyboard.press("Escape")
    page.locator("#dsm-click-cancel").wait_for(state="detached")
    assert settle(page) == clicked


def test_later_click_does_not_bring_a_cancelled_one_back(page: Any, clicked: str) -> None:
    click_outside(page)
    page.keyboard.press("Escape")
    page.mouse.click(AXIAL[0] + 30, AXIAL[1])
    page.wait_for_function("window.trame.state.state.num_clicks === 2 && !window.trame.state.state.can_redo")
    assert settle(page) != clicked
    page.keyboard.press("Backspace")
    page.wait_for_function("window.trame.state.state.can_redo && window.trame.state.state.num_clicks === 1")
    assert settle(page) == clicked


def test_undo_and_redo_go_on_after_a_cancel(page: Any, clicked: str) -> None:
    click_outside(page)
    page.keyboard.press("Escape")
    assert settle(page) == clicked
    page.keyboard.press("Control+y")
    page.wait_for_function("window.trame.state.state.num_clicks === 2")
    settle(page)
    for count in (1, 0):
        page.keyboard.press("Control+z")
        page.wait_for_function("count => window.trame.state.state.num_clicks === count", arg=count)
        settle(page)
    assert page.evaluate("window.trame.state.state.rows[0].note").startswith("0")
    page.keyboard.press("Escape")
    page.locator(".dsm-click-bar").wait_for(state="detached")


def test_bar_of_a_run_stands_still_where_less_motion_is_asked_for(page: Any) -> None:
    prompt(page, UNANSWERED)
    page.locator("#dsm-status").get_by_text("Segmenting").wait_for()
    page.evaluate("window.trame.state.set('progress', -1)")  # as while nobody knows how long it takes
    bar = page.get_by_role("progressbar", name="Progress", exact=True)
    part = bar.locator(".v-progress-linear__indeterminate .long")
    part.wait_for()
    assert page.evaluate("document.getAnimations().length") == 0
    assert part.bounding_box() == bar.bounding_box(), "it is seen"
    if folder := os.environ.get("DSM_SCREENSHOTS"):
        page.screenshot(path=Path(folder, "web-bar-at-rest.png"))
    page.emulate_media(reduced_motion="no-preference")
    page.wait_for_function("document.getAnimations().length > 0")
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function("document.getAnimations().length === 0")
    page.keyboard.press("Escape")
    page.locator("#dsm-segment").wait_for()


def test_escape_cancels_a_run_of_names(page: Any) -> None:
    before = names(page)
    prompt(page, UNANSWERED)
    page.locator("#dsm-cancel").wait_for()
    page.keyboard.press("Escape")
    page.locator("#dsm-segment").wait_for()
    assert page.inner_text("#dsm-status").startswith("Cancelled")
    assert names(page) == before
