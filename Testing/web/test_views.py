"""Readouts of the slice views, and their mouse and key bindings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import AXIAL, CORONAL, changed, drag, segment, views, violations

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"
VALUE_HU = "parseFloat(document.querySelector('.dsm-slice-value')?.innerText.match(/: (-?[0-9.]+) HU$/)?.[1])"


def window(page: Any) -> list[float]:
    return list(page.evaluate("[window.trame.state.state.shown_window, window.trame.state.state.shown_level]"))


def texts(page: Any, kind: str) -> list[str]:
    return list(page.locator(kind).all_inner_texts())


def test_slices_tell_where_they_are(page: Any) -> None:
    """The first view is axial, the second coronal, the third sagittal; patient's right is on the left of the screen."""
    assert texts(page, ".dsm-edge") == [*"RLAP", *"RLSI", *"APSI"]
    before = texts(page, ".dsm-slice-position")
    assert [text.split(",")[0].split(" / ")[1] for text in before] == ["34", "128", "128"]
    page.mouse.move(*AXIAL)
    page.mouse.wheel(0, -120)
    page.wait_for_function(
        "before => document.querySelector('.dsm-slice-position').innerText !== before", arg=before[0]
    )
    after = texts(page, ".dsm-slice-position")
    assert abs(int(after[0].split(" / ")[0]) - int(before[0].split(" / ")[0])) == 1
    assert after[1:] == before[1:]


def test_value_under_the_mouse(page: Any) -> None:
    # The text of an earlier place may stand there for a moment, so the value itself is waited for.
    page.mouse.move(567, 265)  # in the spine
    page.wait_for_function(f"{VALUE_HU} > 0")
    page.mouse.move(460, 150)  # in the right lung
    page.wait_for_function(f"{VALUE_HU} < -500")
    assert texts(page, ".dsm-slice-value")[0].startswith("R ")
    page.mouse.move(345, 60)
    page.wait_for_function("document.querySelector('.dsm-slice-value')?.innerText.endsWith('outside')")


def test_dragging_sets_window_and_level(page: Any) -> None:
    page.get_by_role("button", name="Soft tissue").click()
    page.wait_for_function("window.trame.state.state.shown_window === 400")
    before = views(page)
    drag(page, [CORONAL, (CORONAL[0] + 60, CORONAL[1] - 40)])
    page.wait_for_function("window.trame.state.state.shown_window !== 400")
    page.mouse.move(100, 780)
    assert changed(before, views(page)) > 0.05
    shown = window(page)
    assert shown[0] > 400
    assert page.get_by_text(f"Window {shown[0]:.0f}, level {shown[1]:.0f}", exact=True).count() == 1
    page.get_by_role("button", name="Soft tissue").click()
    page.wait_for_function("window.trame.state.state.shown_window === 400")
    page.mouse.move(100, 780)
    assert changed(before, views(page)) < 0.01


def test_question_mark_lists_mouse_and_keys(page: Any) -> None:
    page.mouse.move(*AXIAL)
    page.keyboard.press("?")
    keys = page.locator(".dsm-keys")
    keys.wait_for()
    assert "level (up and down)" in keys.inner_text()
    assert violations(page) == []
    page.keyboard.press("Escape")
    keys.wait_for(state="hidden")


def test_ctrl_z_is_undo(page: Any) -> None:
    segment(page, "liver")
    page.mouse.move(*AXIAL)
    page.keyboard.press("Control+z")
    page.locator(".dsm-rows").wait_for(state="detached")


def test_mr_is_shown_with_a_window_of_its_own_values(page: Any, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 300, (24, 24, 20)).astype(np.int16)
    voxels[0, 0, 0] = 30_000  # one bright voxel must not darken all others
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([9.0, 9.0, 9.0, 1.0])), tmp_path / "mr.nii.gz")
    page.set_input_files("#dsm-file", tmp_path / "mr.nii.gz")
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'mr'")
    opened = window(page)
    assert 250 < opened[0] < 400
    page.mouse.move(*AXIAL)
    page.wait_for_function("document.querySelector('.dsm-slice-value')?.innerText.includes(' mm: ')")
    assert not texts(page, ".dsm-slice-value")[0].endswith("HU")
    drag(page, [AXIAL, (AXIAL[0] + 60, AXIAL[1])])
    page.wait_for_function("before => window.trame.state.state.shown_window !== before", arg=opened[0])
    page.get_by_role("button", name="Auto", exact=True).click()
    page.wait_for_function("before => window.trame.state.state.shown_window === before", arg=opened[0])
