import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from dsm.errors import InputError
from dsm.evaluation.click_report import write_click_report
from dsm.evaluation.evaluate_clicks import evaluate_clicks, summarize_clicks
from dsm.inference.click_scan import ClickSegmenter
from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig

pytestmark = pytest.mark.xdist_group("evaluate_clicks")  # in one test process, which makes its fixtures once


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """Three scans; the first has four nodules, one of them too small to count."""
    folder = tmp_path_factory.mktemp("data") / "balls"
    folder.mkdir()
    grid = np.indices((40, 36, 20)).transpose(1, 2, 3, 0) * (2.0, 2.0, 3.0)
    cases = []
    for number in range(3):
        image = np.full(grid.shape[:3], -80, np.int16)
        label = np.zeros(grid.shape[:3], np.uint8)
        nodules = [((20, 20, 30), 9), ((56, 20, 30), 8), ((20, 54, 30), 7), ((58, 54, 30), 6), ((40, 36, 10), 3)]
        for middle, radius in nodules if number == 0 else nodules[:1]:
            inside = np.linalg.norm(grid - middle, axis=-1) < radius
            image[inside], label[inside] = 60, 1
        for kind, array in (("image", image), ("label", label)):
            written = sitk.GetImageFromArray(array.transpose(2, 1, 0))
            written.SetSpacing((2.0, 2.0, 3.0))
            sitk.WriteImage(written, str(folder / f"{number}_{kind}.nii.gz"))
        files = {"image": f"{number}_image.nii.gz", "label": f"{number}_label.nii.gz"}
        cases.append({"id": f"case_{number}", **files, "modality": "CT", "present": {"liver tumor": 1}})
    manifest = {"name": "balls", "labels": {"1": "liver tumor"}, "annotated": ["liver tumor"], "cases": cases}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def network():
    """Random weights: what it finds is chance, what is measured is not."""
    torch.manual_seed(0)
    return ClickSegmenter(ClickRefiner(ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)).eval())


@pytest.fixture(scope="module")
def report(balls, network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("montages")
    return evaluate_clicks(balls, click_model=network, clicks=3, montages=folder), folder


def test_at_most_three_objects_per_case_of_at_least_0_3_ml(report):
    found, _ = report
    assert [row["case"] for row in found["objects"]] == ["case_0"] * 3 + ["case_1", "case_2"]
    assert all(row["ml"] >= 0.3 for row in found["objects"])


def test_one_click_in_each_lesion_of_the_case_with_several(report, balls, tmp_path):
    (row,) = report[0]["several_lesions"]
    assert (row["case"], row["name"], row["lesions"]) == ("case_0", "liver tumor", 3)
    assert all(0 <= row[method]["dice"] <= 1 for method in report[0]["methods"])
    assert row["baseline"]["dice"] > 0.5, "bright balls on a dark ground"
    write_click_report(report[0], tmp_path / "report.json")
    assert "One click in each of 3 lesions of 1 cases, baseline" in (tmp_path / "report.md").read_text()


def test_report_structure(report):
    label = report[0]["labels"]["liver tumor"]
    for own in (label, label["baseline"]):
        assert list(own["clicks"]) == ["1", "2", "3"]
        for measure in ("dice", "nsd"):
            assert set(own["clicks"]["1"][measure]) == {"mean", "low", "high", "n"}
        assert own["clicks"]["1"]["dice"]["n"] == 5
        assert 1 <= own["noc80"]["mean"] <= 10
        assert own["seconds_a_click"]["mean"] > 0


def test_baseline_finds_contrasting_objects(report):
    assert report[0]["labels"]["liver tumor"]["baseline"]["clicks"]["3"]["dice"]["mean"] > 0.7


def test_worst_cases_are_drawn(report):
    assert len(list(report[1].glob("*.png"))) == 1


def test_clicks_are_reproducible(balls, network, report):
    again = evaluate_clicks(balls, click_model=network, clicks=3, cases=["case_1"], baseline=False)
    before = next(row for row in report[0]["objects"] if row["case"] == "case_1")
    assert again["objects"][0]["without_text"]["clicks"] == before["without_text"]["clicks"]
    assert again["objects"][0]["without_text"]["dice"] == before["without_text"]["dice"]


def test_text_prior_is_compared_with_clicks_only(balls, network, tiny_model):
    from dsm.inference.segmenter import Segmenter

    model = Segmenter.from_pretrained(tiny_model)
    found = evaluate_clicks(
        balls, click_model=network, clicks=1, model=model, names=["liver tumor"], cases=["case_1"], baseline=False
    )
    assert found["methods"] == ["with_text", "without_text"]
    assert set(found["labels"]["liver tumor"]) == {"clicks", "noc80", "seconds_a_click", "without_text"}


def test_report_is_written_as_json_and_markdown(report, tmp_path):
    write_click_report(report[0], tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["labels"].keys() == {"liver tumor"}
    assert "| liver tumor | baseline |" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("clicks", [0, 11])
def test_too_few_or_many_clicks_are_refused(balls, network, clicks):
    with pytest.raises(InputError):
        evaluate_clicks(balls, click_model=network, clicks=clicks)


def test_intervals_resample_cases():
    def row(case, value):
        method = {"dice": {"1": value}, "nsd": {"1": value}, "noc80": 1, "seconds": 0.1}
        return {"case": case, "name": "node", "clicks": method}

    found = summarize_clicks([row("a", 0.2), row("a", 0.8), row("b", 0.5)], ["clicks"])
    dice = found["labels"]["node"]["clicks"]["1"]["dice"]
    assert dice["n"] == 3
    assert dice["mean"] == pytest.approx(0.5)
    assert dice["low"] == dice["high"] == pytest.approx(0.5)  # both cases have this mean


def test_the_command_writes_the_report(balls, tmp_path, capsys):
    from dsm.cli.main import main
    from dsm.models.click_weights import save_refiner

    config = ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)
    save_refiner(ClickRefiner(config).eval(), config, tmp_path / "network")
    options = ["--clicks", "1", "--no-text-prior", "--cases", "case_1", "--click-model", str(tmp_path / "network")]
    assert main(["evaluate", str(balls), *options, "-o", str(tmp_path / "report.json")]) == 0
    assert "| liver tumor | without_text |" in capsys.readouterr().out
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["methods"] == ["without_text", "baseline"]
    assert written["labels"]["liver tumor"]["baseline"]["clicks"]["1"]["dice"]["n"] == 1


def test_click_network_of_the_model_is_evaluated(balls, click_model, tmp_path):
    from dsm.cli.main import main

    options = ["--clicks", "1", "--cases", "case_1", "--prompts", "liver tumor", "--model", str(click_model)]
    assert main(["evaluate", str(balls), *options, "-o", str(tmp_path / "report.json")]) == 0
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["methods"] == ["with_text", "without_text", "baseline"]
    label = written["labels"]["liver tumor"]
    for method in (label, label["without_text"], label["baseline"]):
        assert set(method) >= {"clicks", "noc80", "seconds_a_click"}
        assert set(method["clicks"]["1"]) == {"dice", "nsd"}
