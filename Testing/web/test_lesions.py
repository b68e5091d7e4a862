"""The lesions of a tumor: measured, shown by a click, rejected and accepted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import changed, download, names, press, segment, views, violations, volume_ml, wait_until_sent

from dsm.io.seg_nrrd_reader import read_segments

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"

JUMPS = ".dsm-lesion-jump"
# Controls of the panel, but those in lists of their own, of which something else is seen where their middle is.
CONTROLS = "button, a, input, summary, [role=slider]"
HIDDEN = (
    f"[...document.querySelectorAll('.dsm-panel :is({CONTROLS})')].filter("
    """(control) => {
    const { left, top, width, height } = control.getBoundingClientRect();
    if (!width || control.closest("ul")) return false;
    const seen = document.elementFromPoint(left + width / 2, top + height / 2);
    return !document.querySelector(".dsm-panel").contains(seen) ||
        !!seen.closest(".dsm-export") !== !!control.closest(".dsm-export");
})"""
)


def lesions(page: Any) -> list[list[str]]:
    """The rows of the list: number, diameters, volume and intensity."""
    rows = page.locator(JUMPS)
    return [row.locator("span").all_inner_texts() for row in rows.all()]


def wait_for_lesions(page: Any, number: int) -> None:
    page.wait_for_function(f"number => document.querySelectorAll('{JUMPS}').length === number", arg=number)


def slices(page: Any) -> list[int]:
    """Numbers of the slices in the axial, coronal and sagittal view."""
    return [int(text.split(" / ")[0]) for text in page.locator(".dsm-slice-position").all_inner_texts()]


def click(page: Any, row: int) -> None:
    """Press a row of the list with the mouse, and wait for the views."""
    box = page.locator(JUMPS).nth(row).bounding_box()
    page.mouse.click(box["x"] + 40, box["y"] + box["height"] / 2)
    page.wait_for_function(f"row => document.querySelectorAll('{JUMPS}')[row].ariaPressed === 'true'", arg=row)
    wait_until_sent(page)


def test_an_organ_has_no_lesions(page: Any) -> None:
    segment(page, "liver")
    page.get_by_role("button", name="liver", exact=True).click()
    page.locator(".dsm-tools").wait_for()
    assert page.locator(JUMPS).count() == 0


def test_lesions_of_a_tumor_are_measured(page: Any, tmp_path: Path) -> None:
    segment(page, "lung tumor")
    wait_for_lesions(page, 3)
    (record,) = [one for one in read_segments(download(page, "seg.nrrd", tmp_path)) if one.name == "lung tumor"]
    assert np.count_nonzero(record.mask.array) == 6 * 4 * 3 + 10 * 6 * 4 + 2 * 2
    found = lesions(page)
    assert [row[0] for row in found] == ["1", "2", "3"]
    volumes = [float(row[2]) for row in found]
    assert sum(volumes) == pytest.approx(volume_ml(page, 1), abs=0.15)
    assert volumes[0] / volumes[1] == pytest.approx(240 / 72, rel=0.05)
    longest, across = (int(text) for text in found[0][1].split(" × "))
    assert longest > across > 0
    assert all("±" in row[3] for row in found)
    assert page.locator(".dsm-lesions h2").inner_text() == "3 lesions"
    press(page, "Click on lung tumor")
    page.locator(".dsm-click-bar").get_by_text("Lesions that you do not click stay").wait_for()
    press(page, "Done")
    assert violations(page) == []


def test_a_click_on_a_row_moves_all_views_to_the_lesion(page: Any) -> None:
    for row, (i, j, k) in enumerate([((90, 100), (60, 66), (18, 22)), ((32, 38), (50, 54), (20, 23))]):
        click(page, row)
        axial, coronal, sagittal = slices(page)
        assert k[0] < axial <= k[1]
        assert j[0] < coronal <= j[1]
        assert i[0] < sagittal <= i[1]


def test_rejected_lesion_is_taken_from_the_mask_and_comes_back_with_undo(page: Any, tmp_path: Path) -> None:
    click(page, 0)
    page.mouse.move(100, 780)
    before, seen, volume = lesions(page), views(page), volume_ml(page, 1)
    page.get_by_role("button", name="Reject lesion 1").click()
    wait_for_lesions(page, 2)
    page.mouse.move(100, 780)
    assert changed(seen, views(page)) > 0.001, "the lesion is gone from the views"
    assert [row[1:] for row in lesions(page)] == [row[1:] for row in before[1:]]
    assert volume_ml(page, 1) < volume
    header_and_mask = download(page, "seg.nrrd", tmp_path)
    (record,) = [one for one in read_segments(header_and_mask) if one.name == "lung tumor"]
    assert np.count_nonzero(record.mask.array) == 6 * 4 * 3 + 2 * 2
    assert record.tags["DICOM.SegmentAlgorithmType"] == "SEMIAUTOMATIC"
    rejected = lesions(page)
    for _ in range(2):
        press(page, "Undo")
        wait_for_lesions(page, 3)
        assert lesions(page) == before
        assert volume_ml(page, 1) == volume
        press(page, "Redo")
        wait_for_lesions(page, 2)
        assert lesions(page) == rejected
    press(page, "Undo")
    wait_for_lesions(page, 3)


def test_all_lesions_accepted_is_a_reviewed_result(page: Any) -> None:
    reviewed = page.get_by_text("reviewed", exact=True)
    for number in (1, 2):
        page.get_by_role("button", name=f"Accept lesion {number}").click()
        wait_until_sent(page)
    assert reviewed.count() == 0
    page.get_by_role("button", name="Reject lesion 3").click()
    reviewed.wait_for()
    press(page, "Undo")
    reviewed.wait_for(state="detached")
    page.get_by_role("button", name="Accept lesion 3").click()
    reviewed.wait_for()
    page.get_by_role("button", name="Accept lesion 2").click()
    reviewed.wait_for(state="detached")
    pressed = [page.get_by_role("button", name=f"Accept lesion {n}").get_attribute("aria-pressed") for n in (1, 2, 3)]
    assert pressed == ["true", "false", "true"]


def test_segments_of_a_file_come_back_with_the_lesions_that_were_accepted(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#dsm-file", download(page, "seg.nrrd", tmp_path))
    added = page.get_by_role("button", name="lung tumor 2", exact=True)
    added.click()
    wait_until_sent(page)
    wait_for_lesions(page, 3)
    assert names(page) == ["liver", "lung tumor", "liver 2", "lung tumor 2"]
    assert page.locator("#dsm-status").inner_text() == "2 segments of CTChest4.seg.nrrd were added."
    pressed = [page.get_by_role("button", name=f"Accept lesion {n}").get_attribute("aria-pressed") for n in (1, 2, 3)]
    assert pressed == ["true", "false", "true"]
    press(page, "Undo")
    added.wait_for(state="detached")
    assert names(page) == ["liver", "lung tumor"]


def test_lesions_stay_in_sight_below_many_results(page: Any) -> None:
    # Laid out by the browser, which is told of more results than there are.
    page.evaluate(
        """() => {
            const [liver, tumor] = window.trame.state.state.rows;
            const more = Array.from({ length: 15 }, (_, number) => ({ ...liver, id: `${number}`, name: `${number}` }));
            window.trame.state.set("rows", [...more, tumor]);
            window.trame.state.set("selected", "");
        }"""
    )
    page.locator(".dsm-tools").wait_for(state="detached")
    tumor = page.get_by_role("button", name="lung tumor", exact=True)
    tumor.evaluate("button => button.click()")  # without the scrolling that a click of the mouse brings here
    page.locator(".dsm-rows .selected").wait_for()
    page.wait_for_function(
        """() => {
            const [list, row] = [".dsm-rows", ".dsm-rows .selected"]
                .map((name) => document.querySelector(name).getBoundingClientRect());
            return list.height > 80 && list.top <= row.top + 1 && row.bottom <= list.bottom + 1;
        }"""
    )
    wait_for_lesions(page, 3)
    assert violations(page) == []


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_nothing_is_below_the_fold_with_16_results(page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    assert page.locator(".dsm-rows li").count() == 16
    page.evaluate("window.trame.state.set('status', 'Finished.\\n' + 'Check: the mask is less sure. '.repeat(20))")
    page.wait_for_function(HIDDEN + ".length === 0")
    page.get_by_role("button", name="Paint", exact=True).click()
    page.get_by_role("slider", name="Diameter of the brush in millimetres").wait_for()
    page.wait_for_function(HIDDEN + ".length === 0")
    assert page.get_by_role("slider", name="Level").is_visible()
    page.wait_for_function(
        """() => {
            const [list, row] = [".dsm-rows", ".dsm-rows .selected"]
                .map((name) => document.querySelector(name).getBoundingClientRect());
            return list.top <= row.top + 1 && row.top + 20 <= list.bottom;
        }"""
    )
    if folder := os.environ.get("DSM_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"web-16-results-{size[0]}.png"))
    press(page, "Paint")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_last_lesion_can_be_rejected(page: Any) -> None:
    for left in (2, 1, 0):
        page.get_by_role("button", name="Reject lesion 1").click()
        wait_for_lesions(page, left)
    assert names(page) == ["liver", "lung tumor"]
    assert volume_ml(page, 1) == 0
    press(page, "Undo")
    wait_for_lesions(page, 1)
