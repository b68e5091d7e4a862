"""Assumptions about a scan are shown, and CT or MR can be overruled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from page_driver import segment, violations

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene, dsm-tiny"

CHOICE = "#dsm-modality"


def notes(page: Any) -> list[str]:
    return list(page.locator(".dsm-input-note").all_inner_texts())


def test_what_was_decided_is_said_and_can_be_overruled(page: Any) -> None:
    assert [note[:12] for note in notes(page)] == ["Taken for CT"]
    page.locator(".dsm-options summary").click()
    choice = page.locator(CHOICE)
    assert [text.strip() for text in choice.locator("option").all_inner_texts()] == ["Automatic (CT)", "CT", "MR"]
    assert violations(page) == []
    choice.select_option("MR")
    page.get_by_text("Taken for MR, as you chose.").wait_for()
    assert page.get_by_role("button", name="Lung").count() == 0, "no windows in HU"
    choice.select_option("Automatic (CT)")
    page.get_by_role("button", name="Lung").wait_for()
    assert notes(page)[0].startswith("Taken for CT")


def test_the_choice_decides_what_is_computed(page: Any) -> None:
    page.locator(CHOICE).select_option("MR")
    page.get_by_text("Taken for MR, as you chose.").wait_for()
    segment(page, "liver")
    assert page.get_by_text(", as MR").count() == 1


def test_other_assumptions_are_said_and_another_scan_forgets_the_choice(page: Any, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (24, 24, 20)).astype(np.int16)
    image = nibabel.Nifti1Image(voxels, np.diag([9.0, 9.0, 9.0, 1.0]))
    image.set_qform(None, code=0)
    image.header["pixdim"][1:4] = 5.0  # another size than that of the sform
    nibabel.save(image, tmp_path / "plain.nii.gz")
    page.set_input_files("#dsm-file", tmp_path / "plain.nii.gz")
    page.wait_for_function("document.querySelector('.dsm-volume')?.innerText === 'plain'")
    said = notes(page)
    assert said[0].startswith("Taken for MR:")
    assert "pixdim" in said[1]
    assert page.locator(CHOICE).input_value() == ""
