"""The tutorial, step by step, with the trained weights; it also makes the pictures (`DSM_SCREENSHOTS=folder`)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import AXIAL, IDLE, changed, download, drag, names, press, segment, views, volume_ml, wait_for_volume
from server_process import ROOT

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "dsm-small"

TUTORIAL = (ROOT / "docs" / "tutorial" / "first-segmentation.md").read_text()


def start_the_page(page: Any, folder: Path) -> None:
    assert "\nmake web\n" in TUTORIAL
    assert "$(BIN)/dsm web" in (ROOT / "Makefile").read_text()
    assert page.inner_text(".dsm-volume") == "CTChest4"


def look_around(page: Any, folder: Path) -> None:
    before = views(page)
    page.mouse.move(*AXIAL)
    page.mouse.wheel(0, -360)
    scrolled = views(page)
    assert changed(before, scrolled) > 0.01
    for name in ("Lung", "Bone"):
        page.get_by_role("button", name=name, exact=True).click()
    assert changed(scrolled, views(page)) > 0.01
    page.get_by_role("button", name="Soft tissue").click()
    page.wait_for_selector("text=Window 400, level 40")


def enter_prompts(page: Any, folder: Path) -> None:
    typed = re.search(r"type `([^`]+)`", TUTORIAL)[1]  # type: ignore[index]
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("sple")
    page.get_by_role("option", name="spleen", exact=True).wait_for()
    for _ in "sple":
        page.keyboard.press("Backspace")
    segment(page, typed)
    assert sorted(names(page)) == sorted(typed.split("; "))


def review_the_results(page: Any, folder: Path) -> None:
    notes = dict(zip(names(page), page.locator(".dsm-note").all_inner_texts(), strict=True))
    assert notes["prostate"] == "not known"
    assert 1500 < float(notes["liver"].split()[0]) < 4000
    assert 100 < float(notes["spleen"].split()[0]) < 700
    page.get_by_role("button", name="liver", exact=True).click()
    page.locator(".dsm-tools").wait_for()
    page.mouse.move(100, 780)
    views(page)
    page.screenshot(path=folder / "web-first-segmentation.png")
    page.get_by_label("Hide spleen").click()
    page.get_by_label("Show spleen").click()


def inspect_the_uncertainty(page: Any, folder: Path) -> None:
    press(page, "Undo")  # liver and spleen are one run
    page.wait_for_selector(".dsm-rows", state="detached")
    page.get_by_text("Next run").click()
    page.get_by_label("Uncertainty maps").check()
    segment(page, "liver")
    page.get_by_text("Next run").click()
    page.get_by_role("button", name="liver", exact=True).click()
    page.locator(".dsm-tools").wait_for()
    sure = views(page)
    page.get_by_label("Uncertainty of liver").click()
    page.mouse.move(100, 780)
    assert changed(sure, views(page)) > 0.01
    page.screenshot(path=folder / "web-uncertainty.png")
    page.get_by_label("Uncertainty of liver").click()
    assert changed(sure, views(page)) == 0


def correct_a_segment(page: Any, folder: Path) -> None:
    page.get_by_role("button", name="liver", exact=True).click()
    start = volume_ml(page)
    page.get_by_role("slider", name="Threshold of the segment").focus()
    page.keyboard.press("Home")
    lower = wait_for_volume(page, start)
    assert lower > start
    press(page, "Undo")
    wait_for_volume(page, lower)
    for tool in ("Erase", "Paint", "Cut", "Keep"):
        before = volume_ml(page)
        press(page, tool)
        x, y = AXIAL
        drag(page, [(x - 50, y - 30), (x + 60, y - 30), (x + 60, y + 30), (x - 50, y + 30)])
        after = wait_for_volume(page, before)
        if tool == "Erase":
            page.mouse.move(100, 780)
            views(page)
            page.screenshot(path=folder / "web-corrections.png")
        press(page, tool)
        press(page, "Undo")
        wait_for_volume(page, after)
    press(page, "Smooth")
    wait_for_volume(page, start)


def export(page: Any, folder: Path) -> None:
    labels = nibabel.load(download(page, "nii.gz", folder))
    values = json.loads(download(page, "json", folder).read_text())
    assert "liver" in json.dumps(values)
    voxel_ml = abs(np.linalg.det(labels.affine[:3, :3])) / 1000
    assert np.count_nonzero(labels.dataobj) * voxel_ml == pytest.approx(volume_ml(page), abs=0.1)
    assert b"liver" in download(page, "seg.nrrd", folder).read_bytes()[:10_000]
    assert download(page, "mrb", folder).stat().st_size > 100_000
    assert page.locator("a[href='export/dcm']").get_attribute("class").find("disabled") >= 0


def open_your_own_scan(page: Any, folder: Path) -> None:
    scan = folder / "mine.nii.gz"
    voxels = np.random.default_rng(0).integers(-1000, 300, (20, 24, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), scan)
    page.set_input_files("#dsm-file", scan)
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'mine'")
    page.wait_for_selector(IDLE)


STEPS: list[Callable[[Any, Path], None]] = [
    start_the_page,
    look_around,
    enter_prompts,
    review_the_results,
    inspect_the_uncertainty,
    correct_a_segment,
    export,
    open_your_own_scan,
]


def test_every_step_of_the_tutorial_has_a_test() -> None:
    headings = re.findall(r"^## \d+\. (.+)$", TUTORIAL, re.MULTILINE)
    assert [heading.lower().replace(" ", "_") for heading in headings] == [step.__name__ for step in STEPS]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("DSM_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_step(step: Callable[[Any, Path], None], page: Any, pictures: Path) -> None:
    step(page, pictures)
