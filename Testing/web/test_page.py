"""The workflow of the tutorial, in a browser, one step after the other in one scene."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import IDLE, changed, download, names, prompt, segment, views

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]


def test_run_that_is_cancelled_at_its_start_leaves_no_segment(page: Any) -> None:
    # First in this file: only a run that has to start the worker lasts long enough to be cancelled.
    prompt(page, "spleen; liver")
    page.locator("#dsm-cancel").click()
    page.wait_for_selector(IDLE)
    assert page.inner_text("#dsm-status").startswith("Cancelled")
    assert names(page) == []
    chips = page.locator(".dsm-prompt .v-chip")
    assert chips.all_inner_texts() == ["spleen", "liver"], "the prompts stay for another try"
    while chips.count():
        chips.first.locator(".v-chip__close").click()


def test_first_segmentation(page: Any, tmp_path: Path) -> None:
    assert page.inner_text(".dsm-volume") == "CTChest4"
    assert not page.locator("#dsm-estimate").count(), "no run was seen yet"
    empty = views(page)
    assert (empty.max(axis=2) > 200).mean() > 0.005, "no bone is seen in the views"

    page.locator(".dsm-prompt input").click()
    page.keyboard.type("aor")
    page.get_by_role("option", name="aorta", exact=True).wait_for()
    page.keyboard.type("ta")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".dsm-rows button.dsm-name")
    page.wait_for_selector(IDLE)
    assert names(page) == ["aorta"]
    segmented = views(page)
    assert changed(empty, segmented) > 0.05

    scene = download(page, "mrb", tmp_path)
    assert any(name.endswith(".seg.nrrd") for name in zipfile.ZipFile(scene).namelist())
    assert b"aorta" in download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000]
    labels = nibabel.load(download(page, "nii.gz", tmp_path))
    assert labels.shape == (128, 128, 34)
    assert set(np.unique(labels.dataobj)) == {0, 1}

    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".dsm-rows", state="detached")
    assert changed(segmented, views(page)) > 0.05


def test_page_that_is_loaded_again_shows_the_same(page: Any) -> None:
    segment(page, "liver")
    before = views(page)
    page.reload()
    page.wait_for_selector(".dsm-rows button.dsm-name")
    assert names(page) == ["liver"]
    # Slices, surfaces and the camera of the 3-D view stay; they come a while after the list.
    assert any(changed(before, views(page)) < 0.01 for _ in range(40))


def test_broken_file_is_explained_and_the_scene_stays(page: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"this is no image")
    page.set_input_files("#dsm-file", broken)
    alert = page.get_by_role("alert").first
    alert.wait_for()
    assert "broken.nii.gz" in alert.inner_text()
    assert "dsm-upload" not in alert.inner_text()
    assert page.inner_text(".dsm-volume") == "CTChest4"
    assert names(page) == ["liver"]


def small_scan(path: Path) -> Path:
    voxels = np.random.default_rng(0).integers(-1000, 300, (20, 24, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


def test_uploaded_scan_takes_the_place_of_the_first(page: Any, tmp_path: Path) -> None:
    scan = small_scan(tmp_path / "small.nii.gz")
    page.set_input_files("#dsm-file", scan)
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'small'")
    assert names(page) == []
    # From what the chest CT took: a hundredth of it, for a hundredth of the voxels.
    assert page.inner_text("#dsm-estimate").startswith("Encoding this volume takes about 1 s and 0.1 GB of memory")
    prompt(page, "liver")
    page.wait_for_function("document.querySelector('#dsm-status')?.innerText.startsWith('Finished')")
    assert not page.locator("#dsm-estimate").count(), "it is encoded now"


def test_scan_is_dropped_on_the_page(page: Any, tmp_path: Path) -> None:
    scan = small_scan(tmp_path / "dropped.nii.gz")
    browser = page.context.new_cdp_session(
        page
    )  # what the window system tells the browser; Playwright has no word for it

    def drag(step: str) -> None:
        data = {"items": [], "files": [str(scan)], "dragOperationsMask": 1}
        browser.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": 300, "data": data})

    drag("dragEnter")
    drag("dragOver")
    page.wait_for_selector("body.dsm-drop")
    page.wait_for_selector("body:not(.dsm-drop)")  # it was taken elsewhere, and comes back
    drag("dragOver")
    drag("drop")
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'dropped'")
    assert not page.locator("body.dsm-drop").count()
