"""The menu of a result, and the empty segment to draw in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_driver import (
    AXIAL,
    changed,
    download,
    drag,
    names,
    press,
    prompt,
    segment,
    views,
    violations,
    volume_ml,
    wait_until_sent,
)

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"


def choose(page: Any, name: str, item: str) -> None:
    page.get_by_role("button", name=f"More for {name}", exact=True).click()
    page.locator(".v-overlay--active .v-list-item", has_text=item).first.click()
    wait_until_sent(page)


def wait_for_names(page: Any, *expected: str) -> None:
    page.wait_for_function(
        "names => window.trame.state.state.rows.map((row) => row.name).join() === names", arg=",".join(expected)
    )
    wait_until_sent(page)
    assert names(page) == list(expected)


def test_rename_keeps_the_code(page: Any, tmp_path: Path) -> None:
    segment(page, "liver")
    page.get_by_role("button", name="liver", exact=True).click()
    page.get_by_role("button", name="More for liver", exact=True).click()
    page.locator(".v-overlay--active .v-list-item", has_text="Rename").click()
    box = page.get_by_label("Name", exact=True)
    box.fill("Leber von heute")
    assert violations(page) == []
    box.press("Enter")
    wait_for_names(page, "Leber von heute")
    assert page.locator(".dsm-code").inner_text() == "liver"
    header = download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000]
    assert b"Leber von heute" in header
    assert b"SCT^10200004^Liver" in header
    press(page, "Undo")
    wait_for_names(page, "liver")
    assert page.locator(".dsm-code").count() == 0


def test_name_that_is_taken_is_refused(page: Any) -> None:
    choose(page, "liver", "Duplicate")
    wait_for_names(page, "liver", "liver copy")
    assert volume_ml(page, 1) == volume_ml(page, 0) > 0
    choose(page, "liver copy", "Rename")
    page.get_by_label("Name", exact=True).fill("Liver")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_text("'Liver' is taken.").wait_for()
    assert names(page) == ["liver", "liver copy"]
    page.get_by_label("Close the message").click()


def test_copy_is_a_segment_of_its_own(page: Any) -> None:
    before = volume_ml(page, 0)
    page.get_by_role("button", name="liver copy", exact=True).click()
    press(page, "Erase")
    drag(page, [AXIAL, (AXIAL[0] + 30, AXIAL[1])])
    page.wait_for_function(
        "before => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[1].innerText) < before", arg=before
    )
    assert volume_ml(page, 0) == before
    press(page, "Erase")
    press(page, "Undo")
    press(page, "Undo")
    wait_for_names(page, "liver")


def test_delete_and_its_undo(page: Any) -> None:
    page.mouse.move(100, 780)
    before, volume = views(page), volume_ml(page)
    choose(page, "liver", "Delete")
    page.locator(".dsm-rows").wait_for(state="detached")
    assert changed(before, views(page)) > 0.02
    press(page, "Undo")
    wait_for_names(page, "liver")
    assert volume_ml(page) == volume
    page.mouse.move(100, 780)
    assert changed(before, views(page)) < 0.01, "mask, colour and surface are what they were"


def test_deleted_segment_comes_back_to_its_place(page: Any) -> None:
    choose(page, "liver", "Duplicate")
    wait_for_names(page, "liver", "liver copy")
    choose(page, "liver", "Delete")
    wait_for_names(page, "liver copy")
    press(page, "Undo")
    wait_for_names(page, "liver", "liver copy")


def test_show_only_this_and_all_again(page: Any) -> None:
    choose(page, "liver copy", "Show only this")
    page.get_by_label("Show liver", exact=True).wait_for()
    page.get_by_label("Hide liver copy").wait_for()
    choose(page, "liver copy", "Show only this")
    page.get_by_label("Hide liver", exact=True).wait_for()


def test_reviewed_until_the_mask_changes(page: Any, tmp_path: Path) -> None:
    choose(page, "liver", "Mark as reviewed")
    page.get_by_text("reviewed", exact=True).wait_for()
    assert b"Segmentation.Status:completed" in download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000]
    page.get_by_role("button", name="liver", exact=True).click()
    press(page, "Smooth")
    page.get_by_text("reviewed", exact=True).wait_for(state="detached")
    press(page, "Undo")
    page.get_by_text("reviewed", exact=True).wait_for()
    choose(page, "liver", "Mark as not reviewed")
    page.get_by_text("reviewed", exact=True).wait_for(state="detached")


def test_what_was_not_found_is_drawn(page: Any) -> None:
    prompt(page, "left kidney")
    draw = page.get_by_role("button", name="Draw left kidney")
    draw.wait_for()
    said = page.evaluate(
        "[...document.querySelectorAll('.dsm-click-it')]"
        ".map((one) => getComputedStyle(one, '::before').content.slice(1, -1) + one.innerText.trim()).join(' ')"
    )
    assert said.replace("\N{NO-BREAK SPACE}", " ") == "\N{EN DASH} click on it or draw it"
    draw.click()
    wait_for_names(page, "liver", "liver copy", "left kidney")
    row = page.locator(".dsm-rows li").nth(2)
    assert row.locator(".dsm-mark").inner_text() == "empty"
    wait_until_sent(page)
    drag(page, [AXIAL, (AXIAL[0] + 40, AXIAL[1])])
    page.wait_for_function("parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[2].innerText) > 0")
    assert row.locator(".dsm-mark").inner_text() == "drawn by hand"
    assert row.locator(".dsm-score").inner_text() == "–"
    assert violations(page) == []
