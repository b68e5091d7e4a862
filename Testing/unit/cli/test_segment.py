import json
import os
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dsm.cli.main import main
from dsm.errors import JobCancelled
from dsm.inference import scan as scan_module
from dsm.inference.lesion_list import list_lesions
from dsm.inference.segmenter import Segmenter
from dsm.io.seg_nrrd_reader import read_segments

PROMPTS = "liver; left kidney; liver tumor"


@pytest.fixture(autouse=True)
def sure_model(monkeypatch):
    """Random weights find little: let every score count, so that there is something to write."""
    monkeypatch.setattr(scan_module, "_LEAST_CONFIDENCE", 0.0)


def segment(scan_file, tiny_model, *arguments):
    return main(["segment", str(scan_file), "-p", PROMPTS, "--model", str(tiny_model), *map(str, arguments)])


def names_found(table):
    """Names of the printed table that have a mask."""
    rows = (re.fullmatch(r"(.+?)  +(found|found, check|.+, check)  .*", line) for line in table.splitlines()[1:])
    return {row[1] for row in rows if row}


def test_table_says_as_what_a_foreign_name_was_read(scan_file, tiny_model, tmp_path, capsys):
    prompts = "Leber und linke Niere; aorta"
    assert (
        main(["segment", str(scan_file), "-p", prompts, "--model", str(tiny_model), "-o", str(tmp_path / "o.seg.nrrd")])
        == 0
    )
    notes = [line.strip() for line in capsys.readouterr().out.splitlines() if "was read as" in line]
    assert notes == ["note: 'leber' was read as 'liver'.", "note: 'linke niere' was read as 'left kidney'."]


def test_slicer_segmentation(scan_file, tiny_model, tmp_path, capsys, listing):
    out = tmp_path / "out.seg.nrrd"
    assert segment(scan_file, tiny_model, "-o", out, "--threshold", "0.1") == 0
    assert listing() == ["out.seg.nrrd"]
    image = SimpleITK.ReadImage(str(out))
    names = {image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.endswith("_Name")}
    table = capsys.readouterr()
    assert table.err == ""
    found = names_found(table.out)
    assert names == found
    assert found  # else this test tests nothing: choose another seed or threshold
    assert "liver tumor" in table.out


def test_label_map_on_the_grid_of_the_scan(scan_file, tiny_model, tmp_path, listing):
    out = tmp_path / "out.nii.gz"
    assert segment(scan_file, tiny_model, "-o", out, "--threshold", "0.1") == 0
    assert listing() == ["out.json", "out.nii.gz"]
    scan, labels = SimpleITK.ReadImage(str(scan_file)), SimpleITK.ReadImage(str(out))
    assert labels.GetSize() == scan.GetSize()
    np.testing.assert_allclose(labels.GetOrigin(), scan.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(labels.GetDirection(), scan.GetDirection(), atol=1e-6)
    described = json.loads((tmp_path / "out.json").read_text())["labels"]
    values = set(np.unique(SimpleITK.GetArrayFromImage(labels))) - {0}
    assert values <= {label["value"] for label in described}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_file_names_that_are_no_utf8(scan_file, tiny_model, tmp_path):
    scan, out, report = (tmp_path / os.fsdecode(name) for name in (b"s\xff.nii.gz", b"o\xff.nii.gz", b"r\xff.json"))
    shutil.copy(scan_file, scan)
    assert segment(scan, tiny_model, "-o", out, "--report", report) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["input"]["path"] == str(scan)
    assert json.loads((tmp_path / "o\udcff.json").read_text(encoding="utf-8"))["labelmap"] == out.name


def test_report(scan_file, tiny_model, tmp_path):
    out, report_file = tmp_path / "out.seg.nrrd", tmp_path / "run.json"
    assert segment(scan_file, tiny_model, "-o", out, "--report", report_file) == 0
    report = json.loads(report_file.read_text())
    assert report["model"]["name"] == "dsm-tiny"
    assert len(report["model"]["sha256"]) == 64
    assert report["device"] == "cpu"
    assert report["input"]["shape"] == [28, 24, 20]
    assert report["input"]["modality"] == "CT"
    assert [note["code"] for note in report["input"]["notes"]] == ["modality.guessed"]
    assert report["files"] == [str(out)]
    assert [prompt["name"] for prompt in report["prompts"]] == ["liver", "left kidney", "liver tumor"]
    assert all(prompt["score"] is None for prompt in report["prompts"])
    assert report["seconds"]["encode"] > 0
    assert report["versions"]["torch"]


def test_report_lists_the_lesions_of_tumors(scan_file, tiny_model, tmp_path):
    out, report_file = tmp_path / "out.seg.nrrd", tmp_path / "run.json"
    assert segment(scan_file, tiny_model, "-o", out, "--report", report_file, "--threshold", "0.1") == 0
    report = json.loads(report_file.read_text())
    liver, kidney, tumor = report["prompts"]
    assert (liver["lesions"], kidney["lesions"]) == (None, None)
    assert tumor["found"]  # else this test tests nothing
    segments = {segment.name: segment for segment in read_segments(out)}
    mask = segments["liver tumor"].mask
    image = SimpleITK.ReadImage(str(scan_file))
    affine, scan = np.array(report["input"]["affine_ras"]), SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    expected = json.loads(json.dumps([asdict(one.rounded()) for one in list_lesions(mask, scan, affine)]))
    assert tumor["lesions"] == expected != []
    assert sum(one["volume_ml"] for one in tumor["lesions"]) == pytest.approx(tumor["volume_ml"], abs=0.01)
    assert report["lesion_slices"]["axis"] == "k"
    assert report["lesion_slices"]["note"] == ""


def test_probability_maps(scan_file, tiny_model, tmp_path):
    folder = tmp_path / "maps"
    assert segment(scan_file, tiny_model, "-o", tmp_path / "out.seg.nrrd", "--probabilities", folder) == 0
    assert len(list(folder.glob("*.nii.gz"))) == 3
    values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(next(folder.glob("liver.*")))))
    assert values.shape == (20, 24, 28)
    assert 0 <= values.min() <= values.max() <= 1


def test_prompt_option_can_be_repeated(scan_file, tiny_model, tmp_path, capsys):
    out = str(tmp_path / "o.seg.nrrd")
    code = main(["segment", str(scan_file), "-p", "liver", "-p", "spleen", "-o", out, "--model", str(tiny_model)])
    assert code == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("note:")]
    assert [line.split()[0] for line in lines] == ["prompt", "liver", "spleen"]


def test_dicom_series(tiny_model, tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    array = np.random.default_rng(0).integers(-200, 200, (8, 20, 20)).astype(np.int16)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(8):
        image = SimpleITK.GetImageFromArray(array[k])
        image.SetSpacing((1.5, 1.5))
        tags = {
            "0008|0060": "CT",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.1",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.3.{k}",
            "0020|0032": f"0\\0\\{3 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|1052": "0",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(series / f"{k}.dcm"))
        writer.Execute(image)
    out = tmp_path / "out.nii.gz"
    assert segment(series, tiny_model, "-o", out, "--series", "1.2.826.0.1.3680043.2.1125.1") == 0
    assert SimpleITK.ReadImage(str(out)).GetSize() == (20, 20, 8)


def test_dicom_seg_of_a_dicom_series(scan_file, tiny_model, tmp_path, capsys):
    highdicom = pytest.importorskip("highdicom")
    sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))
    from dicom_series import write_series

    uid = write_series(tmp_path / "series")
    out = tmp_path / "out.dcm"
    assert segment(tmp_path / "series", tiny_model, "-o", out, "--threshold", "0.1") == 0
    seg = highdicom.seg.segread(out)
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    found = names_found(capsys.readouterr().out)
    assert {seg.get_segment_description(n).segment_label for n in seg.segment_numbers} == found
    assert seg.get_segment_description(1).algorithm_identification.parameters["Threshold"] == "0.1"
    assert segment(scan_file, tiny_model, "-o", tmp_path / "other.dcm") == 2
    assert "no DICOM series" in capsys.readouterr().err


def test_unknown_name_has_no_mask_without_guess_option(scan_file, tiny_model, tmp_path, capsys):
    def run(*options):
        out, report = tmp_path / "o.seg.nrrd", tmp_path / "o.json"
        arguments = ["-p", "heart; liver", "-o", str(out), "--report", str(report), "--model", str(tiny_model)]
        assert main(["segment", str(scan_file), *arguments, "--threshold", "0.1", *options]) == 0
        heart, liver = json.loads(report.read_text())["prompts"]
        assert (liver["name_kind"], liver["guess"]) == ("learned", False)
        return heart, capsys.readouterr().out

    heart, table = run()
    assert (heart["name_kind"], heart["found"], heart["guess"], heart["near"]) == ("unknown", False, False, [])
    assert "heart   not known" in table
    assert "--guess marks" in table
    assert "does not know 'heart'" in table
    heart, table = run("--guess")
    assert (heart["name_kind"], heart["found"], heart["guess"]) == ("unknown", True, True)
    assert "heart   guess, check" in table
    assert "note: A guess" in table


def test_other_model_trained_on_the_name_is_suggested(scan_file, tiny_model, body_model, tmp_path, capsys):
    arguments = ["-p", "sternum; liver", "-o", str(tmp_path / "o.seg.nrrd"), "--model", str(tiny_model)]
    assert main(["segment", str(scan_file), *arguments]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "--model" in line]
    assert said == ["dsm-body has learned sternum: give --model dsm-body."]


@pytest.mark.parametrize("error", [KeyboardInterrupt, JobCancelled("stop")])
@pytest.mark.parametrize("method", ["from_pretrained", "_encoded"])
def test_ctrl_c_leaves_no_files(scan_file, tiny_model, tmp_path, capsys, listing, monkeypatch, error, method):
    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr(Segmenter, method, interrupted)
    code = segment(scan_file, tiny_model, "-o", tmp_path / "out.nii.gz", "--report", tmp_path / "run.json")
    assert code == 130
    assert listing() == []
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_while_writing_leaves_no_files(scan_file, tiny_model, tmp_path, listing, monkeypatch):
    from dsm.io import seg_nrrd

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(seg_nrrd, "_write_layers", interrupted)
    assert segment(scan_file, tiny_model, "-o", tmp_path / "out.seg.nrrd") == 130
    assert listing() == []


def test_existing_result_is_kept_on_failure(scan_file, tiny_model, tmp_path, monkeypatch):
    out = tmp_path / "out.seg.nrrd"
    out.write_text("precious")

    def broken(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr(Segmenter, "_encoded", broken)
    assert segment(scan_file, tiny_model, "-o", out) == 1
    assert out.read_text() == "precious"


def test_output_is_checked_before_the_model_is_loaded(scan_file, tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Segmenter, "from_pretrained", lambda *a, **k: pytest.fail("the model was loaded"))
    assert segment(scan_file, tiny_model, "-o", tmp_path / "missing" / "out.seg.nrrd") == 2
    assert segment(scan_file, tiny_model, "-o", tmp_path / "out.seg.nrrd", "--report", tmp_path / "a.txt") == 2
    assert segment(scan_file, tiny_model, "-o", tmp_path / "out.seg.nrrd", "--probabilities", scan_file) == 2
    assert capsys.readouterr().err.count("\n") == 3
