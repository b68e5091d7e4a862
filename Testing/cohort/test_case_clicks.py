"""Clicks of a cohort from a CSV file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from batch_process import environment

from dsm.cohort.case import CohortCase
from dsm.cohort.case_clicks import CaseClick, check_case_clicks, read_case_clicks
from dsm.core.click import Click
from dsm.errors import InputError

HEADER = "case,name,r,a,s,inside\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_clicks_are_read_in_their_order(tmp_path: Path) -> None:
    path = written(
        tmp_path, "\ufeffname,case,r,a,s,inside\nschwannoma,a.nii.gz,1.5,-2,3,true\nschwannoma, a.nii.gz ,4,5,6,0\n"
    )
    assert read_case_clicks(path) == (
        CaseClick("a.nii.gz", "schwannoma", Click((1.5, -2.0, 3.0)), 2),
        CaseClick("a.nii.gz", "schwannoma", Click((4.0, 5.0, 6.0), inside=False), 3),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Line 1"),
        ("case,name,x,y,z,inside\na,liver,1,2,3,1\n", "Line 1"),
        (HEADER, "no clicks"),
        (HEADER + "a,liver,1,2,3,1\na,liver,1,2,1\n", "Line 3"),
        (HEADER + "a,liver,1,2,three,1\n", "Line 2"),
        (HEADER + "a,liver,1,2,nan,1\n", "Line 2"),
        (HEADER + "a,liver,1,2,3,maybe\n", "Line 2"),
        (HEADER + ",liver,1,2,3,1\n", "Line 2"),
        (HEADER + "a,kidneys,1,2,3,1\n", "Line 2"),
        (HEADER + "b,schwannoma,1,2,3,1\na,schwannoma,1,2,3,0\n", "Line 3"),
    ],
)
def test_invalid_file_is_refused_with_its_line_number(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_case_clicks(written(tmp_path, text))
    assert (caught.value.code, bool(caught.value.hint)) == ("clicks_file", True)


def test_unknown_case_is_refused_with_its_line_number(tmp_path: Path) -> None:
    cases = [CohortCase(id="a-1234", source="a.nii.gz", path=tmp_path / "a.nii.gz")]
    known = [CaseClick(name, "liver", Click((0, 0, 0)), 2) for name in ("a-1234", "a.nii.gz")]
    check_case_clicks(known, cases)
    with pytest.raises(InputError, match=r"Line 7.*'b.nii.gz'"):
        check_case_clicks([*known, CaseClick("b.nii.gz", "liver", Click((0, 0, 0)), 7)], cases)


def test_clicked_cases_are_segmented(tmp_path: Path, dsm_tiny: Path, with_clicks: Callable[[Path], Path]) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    array = np.random.default_rng(0).integers(-200, 200, (20, 24, 28)).astype(np.int16)
    for name in ("a", "b"):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 2.5))
        SimpleITK.WriteImage(image, str(scans / f"{name}.nii.gz"))
    points = written(tmp_path, HEADER + "a.nii.gz,schwannoma,-28,-24,25,true\n")
    command = [
        sys.executable,
        "-m",
        "dsm",
        "batch",
        str(scans),
        "--clicks",
        str(points),
        "--out",
        str(tmp_path / "out"),
    ]
    model = ["--model", str(with_clicks(dsm_tiny))]
    done = subprocess.run(
        [*command, *model], env=environment(), capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    (outcome,) = (json.loads(path.read_text()) for path in (tmp_path / "out" / "cases").glob("*.json"))
    (finding,) = outcome["findings"]
    assert (finding["name"], finding["source"]) == ("schwannoma", "click")
    refused = subprocess.run(
        [*command, "--model", "dsm-tiny"], env=environment(), capture_output=True, text=True, check=False, timeout=200
    )
    assert refused.returncode == 2
    assert "takes no clicks" in refused.stderr
