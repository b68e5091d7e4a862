"""Undo and redo, by keys and buttons: every kind of step there and back, twice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import AXIAL, IDLE, download, drag, names, press, prompt, segment, violations, wait_until_sent

from dsm.io.seg_nrrd_reader import read_segments

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(1500)]
BACKEND = "clicking scene"

# What the list says of each result, and how many points the selected one has.
_RESULTS = """() => JSON.stringify(
    window.trame.state.state.rows.map((row) => [row.name, row.note, row.threshold, row.color, row.reviewed]))"""
_SEEN = """() => JSON.stringify([
    window.trame.state.state.rows.map(({ name, note, mark, threshold, code, color, reviewed }) =>
        [name, note, mark, threshold, code, color, reviewed]),
    window.trame.state.state.num_clicks])"""


def seen(page: Any) -> str:
    return str(page.evaluate(_SEEN))


def wait_for(page: Any, expected: str) -> None:
    for _ in range(100):
        if seen(page) == expected and not page.evaluate("window.trame.state.state.running"):
            return
        page.wait_for_timeout(100)
    assert seen(page) == expected
    raise AssertionError("a run does not end")


def choose(page: Any, name: str, item: str) -> None:
    page.get_by_role("button", name=f"More for {name}", exact=True).click()
    page.locator(".v-overlay--active .v-list-item", has_text=item).first.click()


def rename(page: Any) -> None:
    choose(page, "liver", "Rename")
    page.get_by_label("Name", exact=True).fill("liver of today")
    page.get_by_label("Name", exact=True).press("Enter")


def erase(page: Any) -> None:
    page.get_by_role("button", name="liver of today", exact=True).click()
    press(page, "Erase")
    drag(page, [AXIAL, (AXIAL[0] + 30, AXIAL[1])])


def recolor(page: Any) -> None:
    page.get_by_label("Colour of liver of today").fill("#12c8fa")
    page.locator("h1").click()


def put_eraser_down(page: Any) -> None:
    page.keyboard.press("Escape")
    press(page, "Erase")


def move_threshold(page: Any) -> None:
    page.get_by_role("slider", name="Threshold of the segment").focus()
    page.keyboard.press("ArrowRight")


def click(page: Any) -> None:
    page.locator(".dsm-click-bar").wait_for()
    wait_until_sent(page)
    page.mouse.click(*AXIAL)


def click_new(page: Any) -> None:
    prompt(page, "schwannoma")
    page.get_by_role("button", name="Click on schwannoma").wait_for()
    page.wait_for_selector(IDLE)
    page.get_by_role("button", name="Click on schwannoma").click()
    page.wait_for_function("window.trame.state.state.rows.some((row) => row.id && row.name === 'schwannoma')")


# Of runs, clicks included, the last three can be taken back.
STEPS: list[Callable[[Any], Any]] = [
    lambda page: segment(page, "liver"),
    rename,
    erase,
    recolor,
    lambda page: choose(page, "liver of today", "Mark as reviewed"),
    lambda page: (put_eraser_down(page), press(page, "Smooth")),
    move_threshold,
    lambda page: choose(page, "liver of today", "Duplicate"),
    lambda page: choose(page, "liver of today", "Delete"),
    click_new,
    click,
]


def results(page: Any, folder: Path) -> list[tuple[Any, ...]]:
    """Name, colour, voxels and tags of each result."""
    folder.mkdir()
    return [
        (one.name, one.color, (np.argwhere(one.mask.array) + one.mask.offset_ijk).tolist(), dict(one.tags))
        for one in read_segments(download(page, "seg.nrrd", folder))
    ]


def test_every_step_there_and_back_twice(page: Any, tmp_path: Path) -> None:
    assert page.locator("#dsm-redo").is_disabled()
    assert page.locator("span:has(> #dsm-redo)").get_attribute("title") == "Nothing to redo"
    states, masks = [seen(page)], []
    for number, step in enumerate(STEPS):
        before = page.evaluate(_RESULTS)
        step(page)
        page.wait_for_function(f"before => ({_RESULTS})() !== before && !window.trame.state.state.running", arg=before)
        wait_until_sent(page)
        states.append(seen(page))
        masks.append(results(page, tmp_path / f"{number}"))
    assert violations(page) == []
    assert all(one != other for one, other in pairwise(masks))
    page.mouse.move(*AXIAL)
    for way_back, way_forth in (("Control+z", "Control+y"), ("Control+z", "Control+Shift+Z")):
        for number in reversed(range(len(STEPS) - 1)):
            page.keyboard.press(way_back)
            wait_for(page, states[number + 1])
            assert results(page, tmp_path / f"{number} {way_forth} back") == masks[number]
        page.keyboard.press(way_back)
        page.locator(".dsm-rows").wait_for(state="detached")
        assert page.locator("#dsm-undo").is_disabled()
        for number in range(len(STEPS)):
            page.keyboard.press(way_forth)
            wait_for(page, states[number + 1])
            assert results(page, tmp_path / f"{number} {way_forth} forth") == masks[number]
        assert page.locator("#dsm-redo").is_disabled()


def test_threshold_and_clicks_go_on_after_a_redo(page: Any) -> None:
    """Maps and clicks of what was done again are those that it had."""
    page.get_by_label("Click on schwannoma").click()
    page.locator(".dsm-click-bar").wait_for()
    wait_until_sent(page)
    before = page.evaluate(_RESULTS)
    page.mouse.click(AXIAL[0] + 40, AXIAL[1])
    page.wait_for_function(f"before => ({_RESULTS})() !== before && !window.trame.state.state.running", arg=before)
    wait_until_sent(page)
    with_both = seen(page)
    page.keyboard.press("Backspace")
    page.wait_for_function("window.trame.state.state.num_clicks === 1 && !window.trame.state.state.running")
    page.wait_for_function(f"before => ({_SEEN})() !== before", arg=with_both)
    page.keyboard.press("Control+y")
    wait_for(page, with_both)
    page.keyboard.press("Escape")


def test_something_new_ends_redo(page: Any) -> None:
    now = seen(page)
    press(page, "Undo")
    page.wait_for_function(f"before => ({_SEEN})() !== before", arg=now)
    assert page.locator("#dsm-redo").is_enabled()
    choose(page, names(page)[0], "Duplicate")
    page.locator("#dsm-redo:disabled").wait_for()
    now = seen(page)
    page.keyboard.press("Control+y")
    wait_until_sent(page)
    assert seen(page) == now


def test_keys_mean_in_a_text_box_what_they_always_mean(page: Any) -> None:
    now = seen(page)
    press(page, "Undo")
    page.locator("#dsm-redo:not(:disabled)").wait_for()
    undone = seen(page)
    assert undone != now
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("sple")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    wait_until_sent(page)
    assert seen(page) == undone
    page.locator("h1").click()  # closes the list of names, which lies over the results
    page.locator(".v-overlay--active").wait_for(state="detached")


def test_what_was_changed_is_selected(page: Any) -> None:
    """The points and the threshold that are shown are those of the result that a step changed."""
    names_of = "window.trame.state.state.rows.find((row) => row.id === window.trame.state.state.selected)?.name"
    page.locator(".dsm-rows .dsm-name").first.click()
    first = names(page)[0]
    page.wait_for_function(f"name => {names_of} === name", arg=first)
    before = seen(page)
    press(page, "Smooth")
    page.wait_for_function(f"before => ({_SEEN})() !== before", arg=before)
    page.locator(".dsm-rows .dsm-name").last.click()
    page.wait_for_function(f"name => {names_of} === name", arg=names(page)[-1])
    press(page, "Paint")
    press(page, "Undo")
    page.wait_for_function(f"name => {names_of} === name", arg=first)
    assert page.evaluate("window.trame.state.state.tool") == "", "a stroke would go into another result"
