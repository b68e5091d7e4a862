"""The click tool, by mouse and keyboard in the real views, on a backend that answers clicks strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from page_driver import AXIAL, CORONAL, download, drag, names, press, prompt, violations, volume_ml, wait_until_sent

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"


def points(page: Any) -> int:
    return int(page.locator(".dsm-click-count").inner_text().split()[0])


def shown_slice(page: Any) -> str:
    return str(page.locator(".dsm-slice-position").first.inner_text())


def wait_for_points(page: Any, count: int) -> None:
    page.wait_for_function(
        "count => document.querySelector('.dsm-click-count')?.innerText.startsWith(`${count} `)", arg=count
    )


def answered(page: Any, row: int, *, other_than: float) -> float:
    """Wait until a row has another volume and nothing runs; returns it in ml."""
    page.wait_for_function(
        "([row, before]) => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[row].innerText) !== before"
        " && !window.trame.state.state.running",
        arg=[row, other_than],
    )
    return volume_ml(page, row)


def wait_for_volume_of(page: Any, row: int, ml: float) -> None:
    """Wait until a row has a volume in ml and nothing runs."""
    page.wait_for_function(
        "([row, ml]) => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[row].innerText) === ml"
        " && !window.trame.state.state.running",
        arg=[row, ml],
    )


def test_names_that_are_typed_during_a_run_stay_for_the_next_one(page: Any) -> None:
    prompt(page, "liver")
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("schwannoma")
    page.wait_for_selector(".dsm-rows button.dsm-name")
    page.locator(".dsm-prompt .v-chip").wait_for(state="detached")
    assert page.locator(".dsm-prompt input").input_value() == "schwannoma"


def test_name_that_is_not_known_leads_to_the_click(page: Any) -> None:
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Click on schwannoma").wait_for()
    assert names(page) == ["liver", "schwannoma"]
    row = page.locator(".dsm-rows li").nth(1)
    assert row.inner_text().replace("\n", "").startswith("schwannomanot found")
    page.get_by_role("button", name="Click on schwannoma").click()
    page.locator(".dsm-click-bar").wait_for()
    page.locator(".dsm-click-name").get_by_text("schwannoma").wait_for()
    assert points(page) == 0
    assert names(page) == ["liver", "schwannoma"], "the segment is ready, and named"
    assert page.locator(".dsm-rows li .dsm-mark").inner_text() == "empty"


def test_a_click_inside_and_one_outside(page: Any) -> None:
    page.mouse.click(*AXIAL)
    first = answered(page, 1, other_than=0.0)
    assert points(page) == 1
    assert page.locator(".dsm-rows li .dsm-mark").inner_text() == "found by click"
    page.keyboard.down("Control")
    page.mouse.click(AXIAL[0] + 15, AXIAL[1])
    page.keyboard.up("Control")
    second = answered(page, 1, other_than=first)
    assert points(page) == 2
    assert 0 < second < first
    assert violations(page) == []


def test_backspace_takes_the_last_click_back_and_then_the_first(page: Any) -> None:
    with_both = volume_ml(page, 1)
    page.keyboard.press("Backspace")
    with_one = answered(page, 1, other_than=with_both)
    assert points(page) == 1
    page.keyboard.press("Backspace")
    assert answered(page, 1, other_than=with_one) == 0.0
    assert points(page) == 0


def test_outside_tool_and_a_drag_of_several_points(page: Any) -> None:
    drag(page, [AXIAL, (AXIAL[0] + 60, AXIAL[1])])
    dragged = answered(page, 1, other_than=0.0)
    inside = points(page)
    assert 3 <= inside <= 12
    page.get_by_role("button", name="Outside", exact=True).click()
    page.wait_for_function("window.trame.state.state.tool === 'outside'")
    page.mouse.click(*CORONAL)
    wait_for_points(page, inside + 1)
    page.get_by_role("button", name="Inside", exact=True).click()
    page.wait_for_function("window.trame.state.state.tool === 'click'")
    page.keyboard.press("Backspace")
    wait_for_points(page, inside)  # the server has read the change of the tool before
    page.keyboard.press("Backspace")
    wait_for_points(page, 0)
    assert answered(page, 1, other_than=dragged) == 0.0


def test_clicks_in_quick_succession_answer_the_latest(page: Any) -> None:
    volumes = [0.0]
    for step in range(4):
        page.mouse.click(AXIAL[0] + 12 * step, AXIAL[1])
        volumes.append(answered(page, 1, other_than=volumes[-1]))
    for left in (3, 2, 1, 0):
        page.keyboard.press("Backspace")
        wait_for_volume_of(page, 1, volumes[left])
    assert len(set(volumes)) == 5, volumes
    for step in range(4):
        page.mouse.click(AXIAL[0] + 12 * step, AXIAL[1])
    wait_for_points(page, 4)
    wait_for_volume_of(page, 1, volumes[4])
    for left in (3, 2, 1):
        page.keyboard.press("Backspace")
        wait_for_points(page, left)
        wait_for_volume_of(page, 1, volumes[left])


def test_undo_takes_a_click_back_with_its_point(page: Any) -> None:
    one = volume_ml(page, 1)
    page.mouse.click(AXIAL[0] + 40, AXIAL[1])
    two = answered(page, 1, other_than=one)
    press(page, "Undo")
    assert answered(page, 1, other_than=two) == one
    assert points(page) == 1


def test_click_out_of_the_volume_is_explained_beside_the_views_and_not_kept(page: Any) -> None:
    before = volume_ml(page, 1)
    page.mouse.click(450, 715)  # below the scan in the coronal view
    error = page.locator(".dsm-click-error")
    error.wait_for()
    assert "outside of the volume" in error.inner_text()
    wait_for_points(page, 1)
    assert volume_ml(page, 1) == before
    page.mouse.click(AXIAL[0] + 30, AXIAL[1])
    answered(page, 1, other_than=before)
    assert not error.count(), "the next click closes it"


def test_escape_leaves_the_tool_and_the_clicks_stay_with_the_result(page: Any) -> None:
    count = points(page)
    page.keyboard.press("Escape")
    page.locator(".dsm-click-bar").wait_for(state="detached")
    before = volume_ml(page, 1)
    window = page.evaluate("window.trame.state.state.shown_window")
    drag(page, [CORONAL, (CORONAL[0] + 40, CORONAL[1])])
    page.wait_for_function("before => window.trame.state.state.shown_window !== before", arg=window)
    assert volume_ml(page, 1) == before, "no drag is meant for the object any more"
    page.get_by_label("Click on liver").click()
    wait_for_points(page, 0)
    middle = shown_slice(page)
    page.mouse.move(*AXIAL)
    page.keyboard.press("ArrowUp")
    page.wait_for_function("text => document.querySelector('.dsm-slice-position').innerText !== text", arg=middle)
    beside = shown_slice(page)
    page.get_by_label("Click on schwannoma").click()
    wait_for_points(page, count)
    wait_until_sent(page)
    assert shown_slice(page) == beside, "one goes on where one is looking"


def test_clicks_correct_a_result_of_a_name(page: Any) -> None:
    page.get_by_label("Click on liver").click()
    wait_for_points(page, 0)
    named = volume_ml(page, 0)
    page.keyboard.down("Control")
    page.mouse.click(*AXIAL)
    page.keyboard.up("Control")
    smaller = answered(page, 0, other_than=named)
    assert 0 < smaller < named, "a click outside alone corrects it"
    page.mouse.click(AXIAL[0] - 40, AXIAL[1])
    corrected = answered(page, 0, other_than=smaller)
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    wait_for_points(page, 0)
    assert answered(page, 0, other_than=corrected) == named
    page.keyboard.press("Escape")
    page.locator(".dsm-click-bar").wait_for(state="detached")


def test_clicked_segment_is_tagged_in_the_exported_file(page: Any, tmp_path: Path) -> None:
    header = download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000].decode("utf-8", "replace")
    assert "schwannoma" in header
    assert "DSM.Source:click" in header
    assert "SEMIAUTOMATIC" in header


def test_typed_name_is_clicked_without_a_run(page: Any) -> None:
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("left adrenal mass; liver")
    press(page, "Click")
    assert "several" in page.locator(".dsm-error").inner_text()
    page.get_by_role("button", name="Close the message").click()
    page.locator(".dsm-prompt input").click()
    while page.locator(".dsm-prompt .v-chip").count():
        page.keyboard.press("Backspace")
    page.keyboard.type("chordoma")
    page.locator(".dsm-hints").get_by_text("chordoma").wait_for()
    press(page, "Click")
    page.locator(".dsm-click-name").get_by_text("chordoma").wait_for()
    assert names(page)[-1] == "chordoma"
    page.mouse.click(*AXIAL)
    assert answered(page, len(names(page)) - 1, other_than=0.0) > 0
    assert json.loads(page.evaluate("JSON.stringify(window.trame.state.state.prompts)")) == []
