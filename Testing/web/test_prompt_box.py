"""Completions of the prompt box, earlier results after a run, and both after another scan is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import IDLE, names, press, prompt, violations, volume_ml

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene, dsm-tiny"


def kinds(page: Any) -> list[str]:
    options = page.locator(".v-overlay--active .v-list-item")
    return [option.get_attribute("aria-description") or "" for option in options.all()]


def test_learned_names_come_first(page: Any) -> None:
    page.locator(".dsm-prompt input").click()
    page.locator(".v-overlay--active .v-list-item").first.wait_for()
    assert kinds(page)[0] == "learned"
    page.keyboard.type("kidney")
    page.get_by_role("option", name="kidney tumor", exact=True).wait_for()
    shown = kinds(page)
    assert shown == sorted(shown, key=["learned", "related: check the mask", "not known to this model"].index)
    assert {"learned", "related: check the mask"} <= set(shown)
    page.locator(".dsm-prompt input").fill("left femur")
    page.get_by_role("option", name="left femur", exact=True).wait_for()
    assert kinds(page)[0] == "not known to this model"
    page.locator(".dsm-prompt input").fill("")
    page.locator("h1").click()
    page.locator(".v-overlay--active").wait_for(state="detached")


def test_names_of_other_languages_are_offered_with_the_english_one(page: Any) -> None:
    box = page.locator(".dsm-prompt input")
    for typed, offered, kind in (
        ("Leb", "Leber – liver", "learned"),
        ("higad", "hígado – liver", "learned"),
        ("Schulterb", "Schulterblatt – left scapula", "not known to this model"),
        ("coeur", "cœur – heart", "not known to this model"),
    ):
        box.fill(typed)
        option = page.get_by_role("option", name=offered, exact=True)
        option.wait_for()
        assert option.get_attribute("aria-description") == kind
    assert page.locator(".dsm-prompt").bounding_box()["height"] < 80, "the box takes no free room"
    box.fill("Niere")
    for side in ("left", "right"):
        page.get_by_role("option", name=f"Niere – {side} kidney", exact=True).wait_for()
    if folder := os.environ.get("DSM_SCREENSHOTS"):
        page.screenshot(path=Path(folder, "web-foreign-names.png"))
    box.fill("Leb")
    page.get_by_role("option", name="Leber – liver", exact=True).click()
    page.locator(".dsm-prompt .v-chip").get_by_text("liver", exact=True).wait_for()
    page.locator(".dsm-hints").get_by_text("✓ liver").wait_for()
    assert page.evaluate("window.trame.state.state.prompts") == ["liver"]
    page.locator(".dsm-prompt .v-chip__close").click()
    page.locator("h1").click()
    page.locator(".v-overlay--active").wait_for(state="detached")
    page.locator(".dsm-hints").wait_for(state="detached")


def test_open_list_is_accessible(page: Any) -> None:
    def found() -> list[str]:
        page.locator(".v-overlay--active .v-list-item").first.wait_for()
        # While the list fades in, its words have too little contrast.
        page.wait_for_function(
            "!document.querySelector('.v-overlay--active').getAnimations({ subtree: true }).length", polling="raf"
        )
        return violations(page)

    box = page.locator(".dsm-prompt input")
    box.click()
    assert found() == [], "with all names"
    assert page.locator(f"#{box.get_attribute('aria-controls')}").get_attribute("role") == "listbox"
    page.keyboard.type("kidney")
    page.get_by_role("option", name="left kidney", exact=True).click()
    page.locator(".dsm-prompt .v-chip").get_by_text("left kidney", exact=True).wait_for()
    page.get_by_role("option", name="left kidney", exact=True).wait_for(state="detached")
    assert found() == [], "with one of them chosen"
    page.keyboard.type("kidney")
    page.get_by_role("option", name="right kidney", exact=True).wait_for()
    assert found() == [], "with those that fit"
    box.fill("")
    page.locator(".dsm-prompt .v-chip__close").click()
    page.locator("h1").click()
    page.locator(".v-overlay--active").wait_for(state="detached")


def test_all_learned_organs_at_one_press(page: Any) -> None:
    (button,) = page.locator(".dsm-learned button").all()  # one model
    assert button.inner_text().startswith("Abdomen, ")
    count = int(button.inner_text().split("(")[1].removesuffix(")"))
    assert count > 10
    button.click()
    page.wait_for_function("document.querySelector('#dsm-status')?.innerText.startsWith('Finished')", timeout=900_000)
    page.wait_for_selector(IDLE)
    assert len(names(page)) == count
    assert "liver" in names(page)
    assert not [name for name in names(page) if "tumor" in name]
    assert page.locator(".dsm-prompt .v-chip").count() == 0


def test_export_stays_in_sight(page: Any) -> None:
    assert page.locator(".dsm-panel").bounding_box()["height"] == 800
    assert page.get_by_role("link", name=".seg.nrrd", exact=True).bounding_box()["y"] < 780
    assert page.evaluate("getComputedStyle(document.documentElement).overflowY") == "hidden"


def test_name_that_is_asked_again_replaces_its_result(page: Any) -> None:
    row = names(page).index("liver")
    page.get_by_role("button", name="liver", exact=True).click()
    before = volume_ml(page, row)
    press(page, "Smooth")
    page.wait_for_function(
        "([row, before]) => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[row].innerText) !== before",
        arg=[row, before],
    )
    page.get_by_role("button", name="aorta", exact=True).click()
    prompt(page, "liver")
    page.wait_for_function(
        "([row, before]) => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[row].innerText) === before",
        arg=[row, before],
    )
    page.wait_for_selector(IDLE)
    assert [name for name in names(page) if "liver" in name] == ["liver"]


def test_only_new_result_is_selected(page: Any) -> None:
    assert page.get_by_role("button", name="liver", exact=True).get_attribute("aria-pressed") == "true"
    page.get_by_text("Correct liver").wait_for()


def test_brackets_size_the_brush(page: Any) -> None:
    press(page, "Paint")
    page.keyboard.press("]")
    page.get_by_text("14 mm", exact=True).wait_for()
    page.keyboard.press("[")
    page.keyboard.press("[")
    page.get_by_text("10 mm", exact=True).wait_for()
    press(page, "Paint")


def test_prompts_of_one_scan_are_not_run_on_the_next(page: Any, tmp_path: Path) -> None:
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("spleen;stom")
    page.locator(".dsm-prompt .v-chip").wait_for()
    scan = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 24, 16), dtype=np.int16), np.diag([2.0, 2.0, 3.0, 1.0])), scan)
    page.set_input_files("#dsm-file", scan)
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'small'")
    page.locator(".dsm-prompt .v-chip").wait_for(state="detached")
    assert page.locator(".dsm-prompt input").input_value() == ""
    assert names(page) == []
