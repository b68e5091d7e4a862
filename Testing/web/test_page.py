"""The workflow of the tutorial, in a browser, one step after the other on one server."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.slicer, pytest.mark.slow, pytest.mark.xdist_group("web")]

IDLE = "#dsm-segment:not([disabled])"


def slices(pixels: np.ndarray) -> np.ndarray:
    """Without the 3D view, whose camera starts anew when the page is loaded."""
    return np.concatenate([pixels[:400, :460], pixels[400:, :460], pixels[400:, 470:930]])


def views(page: Any) -> np.ndarray:
    """The pixels right of the panel, once they are at rest."""
    before = None
    for _ in range(40):
        page.wait_for_timeout(500)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").crop((340, 0, 1280, 800))
        pixels = np.asarray(image, dtype=np.int16)
        if before is not None and np.array_equal(before, pixels):
            return pixels
        before = pixels
    raise AssertionError("the views do not come to rest")


def prompt(page: Any, text: str) -> None:
    page.locator(".dsm-prompt input").click()
    page.keyboard.type(text)
    page.keyboard.press("Control+Enter")


def names(page: Any) -> list[str]:
    return list(page.locator(".dsm-rows .dsm-name").all_inner_texts())


def download(page: Any, kind: str, folder: Path) -> Path:
    with page.expect_download(timeout=60_000) as started:
        page.get_by_role("link", name=f".{kind}", exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_run_that_is_cancelled_at_its_start_leaves_no_segment(open_page: Any) -> None:
    # First in this file: only a run that has to start the worker lasts long enough to be cancelled.
    page = open_page()
    prompt(page, "spleen; liver")
    page.locator(".dsm-cancel").click()
    page.wait_for_selector(IDLE, timeout=60_000)
    assert page.inner_text("#dsm-status").startswith("Cancelled")
    assert names(page) == []
    chips = page.locator(".dsm-prompt .v-chip")
    assert chips.all_inner_texts() == ["spleen", "liver"], "the prompts stay for another try"
    while chips.count():
        chips.first.locator(".v-chip__close").click()


def test_first_segmentation(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    assert page.inner_text(".dsm-volume") == "CTChest4"
    empty = views(page)
    assert (empty.max(axis=2) > 200).mean() > 0.005, "no bone is seen in the views"

    page.locator(".dsm-prompt input").click()
    page.keyboard.type("liver tu")
    page.get_by_role("option", name="liver tumor").wait_for()
    page.keyboard.type("mor")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".dsm-rows button.dsm-name", timeout=120_000)
    page.wait_for_selector(IDLE)
    assert names(page) == ["liver tumor"]
    segmented = views(page)
    is_changed = np.abs(segmented - empty).max(axis=2) > 20
    assert is_changed.mean() > 0.05

    scene = download(page, "mrb", tmp_path)
    assert any(name.endswith(".seg.nrrd") for name in zipfile.ZipFile(scene).namelist())
    assert b"liver tumor" in download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000]
    labels = nibabel.load(download(page, "nii.gz", tmp_path))
    assert labels.shape == (128, 128, 34)
    assert set(np.unique(labels.dataobj)) == {0, 1}

    page.reload()
    page.wait_for_selector(".dsm-rows button.dsm-name")
    again = views(page)
    assert (np.abs(slices(again) - slices(segmented)).max(axis=2) > 20).mean() < 0.01

    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".dsm-rows", state="detached")
    undone = views(page)
    assert (np.abs(undone - segmented).max(axis=2) > 20).mean() > 0.05


def test_broken_file_is_explained_and_the_scene_stays(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"this is no image")
    page.set_input_files("#dsm-file", broken)
    alert = page.get_by_role("alert").first
    alert.wait_for()
    assert "broken.nii.gz" in alert.inner_text()
    assert str(tmp_path) not in alert.inner_text()
    assert page.inner_text(".dsm-volume") == "CTChest4"


def test_uploaded_scan_takes_the_place_of_the_first(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    scan = tmp_path / "small.nii.gz"
    voxels = np.random.default_rng(0).integers(-1000, 300, (20, 24, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), scan)
    page.set_input_files("#dsm-file", scan)
    page.wait_for_function("document.querySelector('.dsm-volume').innerText === 'small'", timeout=30_000)
