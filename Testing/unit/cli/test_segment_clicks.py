"""`dsm segment --click`: clicked objects, and their clicks in the output files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dsm.cli.main import main
from dsm.core.click import Click
from dsm.core.name_status import ResultSource
from dsm.core.segment_tags import from_tags, parse_clicks
from dsm.inference.click_scan import ClickSegmenter
from dsm.io.image import read_volume
from dsm.io.seg_nrrd_reader import read_segments


@pytest.fixture(autouse=True)
def balls(monkeypatch):
    """A click network that finds a ball around each click inside."""

    def look(_self, image, clicks, *, previous, text):
        axes = [torch.arange(n, dtype=torch.float32) for n in image.shape]
        logits = torch.full_like(image, -5.0)
        for place, inside in clicks:
            i, j, k = ((axis - at) ** 2 for axis, at in zip(axes, place, strict=True))
            ball = i[:, None, None] + j[None, :, None] + k[None, None, :] < 6.0**2
            logits = torch.where(ball, torch.tensor(5.0 if inside else -5.0), logits)
        return logits

    monkeypatch.setattr(ClickSegmenter, "look", look)


@pytest.fixture
def place(scan_file):
    """Return a function from a voxel of the scan to the text of its place."""
    volume = read_volume(scan_file)
    return lambda *voxel: ",".join(f"{value:.2f}" for value in (volume.affine @ [*voxel, 1])[:3])


def test_clicks_round_trip_through_the_file(scan_file, click_model, tmp_path, place, capsys):
    out, report = tmp_path / "out.seg.nrrd", tmp_path / "out.json"
    first, second, third = place(14, 12, 10), place(20, 12, 10), place(8, 8, 10)
    arguments = [
        "--click",
        f"Schwannoma={first}",
        "--click-outside",
        f"schwannoma={second}",
        "--click",
        f"cyst={third}",
    ]
    files = ["-o", str(out), "--report", str(report), "--model", str(click_model)]
    assert main(["segment", str(scan_file), *arguments, *files]) == 0
    printed = capsys.readouterr().out
    assert "found by click" in printed
    segments = {segment.name: segment for segment in read_segments(out)}
    assert set(segments) == {"schwannoma", "cyst"}
    facts = from_tags(segments["schwannoma"].tags)
    numbers = [tuple(map(float, text.split(","))) for text in (first, second)]
    assert facts.clicks == (Click(numbers[0]), Click(numbers[1], inside=False))
    assert (facts.source, facts.score, facts.edited) == (ResultSource.CLICK, None, True)
    assert segments["schwannoma"].tags["DICOM.SegmentAlgorithmType"] == "SEMIAUTOMATIC"
    described = json.loads(report.read_text())
    assert described["seconds"]["encode"] == 0.0
    assert [(row["name"], row["source"], len(row["clicks"])) for row in described["prompts"]] == [
        ("schwannoma", "click", 2),
        ("cyst", "click", 1),
    ]


def test_clicks_and_names_in_one_run(scan_file, click_model, tmp_path, place, capsys):
    arguments = ["-p", "liver; spleen", "--click", f"liver={place(14, 12, 10)}", "--model", str(click_model)]
    assert main(["segment", str(scan_file), *arguments, "-o", str(tmp_path / "out.seg.nrrd")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("liver")).split("  ")[1].strip() == "found by click"
    assert any(line.startswith("spleen") for line in lines)


def test_dicom_seg_marks_clicked_segments_as_semiautomatic(click_model, tmp_path):
    hd = pytest.importorskip("highdicom")

    sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))
    from dicom_series import write_series

    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    middle = np.array(volume.shape) / 2
    place = (volume.affine @ [*middle.round(), 1])[:3]
    out = tmp_path / "out.dcm"
    click = "schwannoma=" + ",".join(f"{value:.2f}" for value in place)
    assert (
        main(["segment", str(tmp_path / "series"), "--click", click, "-o", str(out), "--model", str(click_model)]) == 0
    )
    segment = hd.seg.segread(out).get_segment_description(1)
    assert segment.algorithm_type.value == "SEMIAUTOMATIC"
    parameters = segment.algorithm_identification.parameters
    assert parameters["Source"] == "click"
    assert parse_clicks(parameters["Clicks"]) == (Click(tuple(round(float(value), 2) for value in place)),)


@pytest.mark.parametrize("click", ["schwannoma", "=1,2,3", "schwannoma=1,2", "schwannoma=1,2,x", "a=1,2,inf"])
def test_malformed_click_is_refused(scan_file, tmp_path, click, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["segment", str(scan_file), "--click", click, "-o", str(tmp_path / "out.seg.nrrd")])
    assert caught.value.code == 2
    assert "schwannoma=12.5,-30,88" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("click", "said"),
    [
        (["--click", "kidneys=0,0,0"], "names left kidney and right kidney|names right kidney and left kidney"),
        (["--click", "schwannoma=900,0,0"], "900.0, 0.0, 0.0 mm lies outside"),
        (["--click-outside", "schwannoma=0,0,40"], "No click is inside"),
    ],
)
def test_invalid_clicks_are_explained(scan_file, click_model, tmp_path, click, said, capsys, listing):
    files = ["-o", str(tmp_path / "out.seg.nrrd"), "--model", str(click_model)]
    assert main(["segment", str(scan_file), *click, *files]) == 2
    assert any(one in capsys.readouterr().err for one in said.split("|"))
    assert listing() == []


def test_model_without_click_network_is_refused(scan_file, tiny_model, tmp_path, capsys):
    files = ["-o", str(tmp_path / "out.seg.nrrd"), "--model", str(tiny_model)]
    assert main(["segment", str(scan_file), "--click", "schwannoma=0,0,40", *files]) == 2
    assert "takes no clicks" in capsys.readouterr().err


def test_prompt_or_click_is_required(scan_file, tmp_path, capsys):
    assert main(["segment", str(scan_file), "-o", str(tmp_path / "out.seg.nrrd")]) == 2
    assert "no prompt" in capsys.readouterr().err
