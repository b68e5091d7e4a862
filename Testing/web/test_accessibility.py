"""The page for people who use a keyboard, a screen reader or a small screen."""

from __future__ import annotations

from typing import Any

import pytest
from page_driver import IDLE, names, violations

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene, dsm-tiny"


def focused(page: Any) -> str:
    return str(
        page.evaluate(
            "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
        )
    )


def tab_to(page: Any, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).casefold().startswith(name.casefold()):
            return
    raise AssertionError(f"{name} is not reached with the Tab key")


def test_workflow_without_a_mouse(page: Any) -> None:
    assert violations(page) == [], "as it is opened"
    page.locator("body").press("Tab")
    tab_to(page, "Folder")
    page.keyboard.press("Tab")
    page.keyboard.type("liver; ")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".dsm-rows button.dsm-name", timeout=280_000)
    page.wait_for_selector(IDLE)
    assert names(page) == ["liver"]
    tab_to(page, "liver")
    page.keyboard.press("Enter")
    page.locator(".dsm-tools").wait_for()
    assert violations(page) == [], "with a result and its tools"
    tab_to(page, "Hide liver")
    page.keyboard.press("Enter")
    page.get_by_label("Show liver").wait_for()
    page.keyboard.press("Enter")
    tab_to(page, "Axial slice")
    value = page.locator(":focus").get_attribute("aria-valuenow")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("old => document.activeElement.getAttribute('aria-valuenow') !== old", arg=value)


def test_error_is_read_out_and_can_be_closed(page: Any, tmp_path: Any) -> None:
    broken = tmp_path / "broken.nrrd"
    broken.write_bytes(b"x")
    page.set_input_files("#dsm-file", broken)
    alert = page.locator(".dsm-error")
    alert.wait_for()
    assert alert.get_attribute("role") == "alert"
    assert violations(page) == []
    tab_to(page, "Close the message")
    page.keyboard.press("Enter")
    alert.wait_for(state="detached")


def test_all_is_within_reach_at_1280_by_800(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    panel = page.locator(".v-navigation-drawer__content")
    assert panel.evaluate("element => element.scrollWidth <= element.clientWidth")
    for name in ("Paint", "Erase", "Cut", "Keep", "Keep largest", "Remove small", "Smooth"):
        button = page.get_by_role("button", name=name, exact=True)
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 330 and box["y"] + box["height"] <= 800, name  # noqa: PT018
    lines = set()
    for name in (".seg.nrrd", ".nii.gz", ".json", ".dcm", ".rtstruct.dcm", ".mrb", "Download all"):
        button = page.get_by_role("link", name=name, exact=True)
        button.scroll_into_view_if_needed()
        lines.add(button.bounding_box()["y"])
    assert len(lines) == 2, "no more room than that is taken from the tools above"
