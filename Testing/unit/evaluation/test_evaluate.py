import json

import numpy as np
import pytest
import SimpleITK as sitk

from dsm.errors import ImageError, InputError
from dsm.evaluation.evaluate import evaluate_dataset

pytestmark = pytest.mark.xdist_group("evaluate")  # in one test process, which makes its fixtures once


def write(path, array, spacing=(4.0, 4.0, 5.0)):
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Three bodies with a liver; the second has no tumor, the third no label for it."""
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    folder.mkdir()
    grid = np.indices((28, 24, 20)).transpose(1, 2, 3, 0)
    cases = []
    for number in range(3):
        image = np.full(grid.shape[:3], -1000, np.int16)
        label = np.zeros(grid.shape[:3], np.uint8)
        spheres = [(0, 0, (14, 12, 10), 11), (1, 120, (17, 12, 10), 6), (2, 40, (18, 12, 10), 2)]
        for label_id, hu, center, radius in spheres[: 2 if number == 1 else 3]:
            inside = np.linalg.norm(grid - center, axis=-1) < radius
            image[inside] = hu
            label[inside] = label_id
        write(folder / f"{number}_image.nii.gz", image)
        write(folder / f"{number}_label.nii.gz", label)
        present = {"liver": 1, "liver tumor": 1} if number != 2 else {"liver": 1}
        files = {"image": f"{number}_image.nii.gz", "label": f"{number}_label.nii.gz"}
        cases.append({"id": f"phantom_{number}", **files, "modality": "CT", "present": present})
    cases[1]["present"] = {"liver": 1, "liver tumor": 0}
    manifest = {
        "name": "phantoms",
        "complete": False,
        "labels": {"1": "liver", "2": "liver tumor"},
        "annotated": ["liver", "liver tumor"],
        "union": {"liver": ["liver", "liver tumor"]},
        "cases": cases,
    }
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def report(phantoms, tiny_model, tmp_path_factory):
    """Of a network with random weights: what it finds is chance, what is measured is not."""
    out = tmp_path_factory.mktemp("report") / "report.json"
    found = evaluate_dataset(phantoms, model=str(tiny_model), out=out, montages=out.parent / "montages")
    return found, out


def test_rows_of_the_cases(report):
    cases = report[0]["cases"]
    assert set(cases["phantom_0"]) == {"liver", "liver tumor"}
    assert set(cases["phantom_2"]) == {"liver"}  # the tumor is not annotated there
    row = cases["phantom_0"]["liver tumor"]
    assert row["kind"] == "tumor"
    assert [round(lesion["ml"] / 0.08) for lesion in row["lesions"]] == [27]  # the voxels of a sphere of radius 2
    for key in ("auroc_body", "fpr95_host", "anomaly_auroc_host", "anomaly_fpr95_body"):
        assert 0 <= row[key] <= 1
    free = cases["phantom_1"]["liver tumor"]
    assert free["dice"] is None
    assert free["lesions"] == []
    assert "auroc_body" not in free
    assert "auroc_body" not in cases["phantom_0"]["liver"]


def test_summary_of_the_names(report):
    labels = report[0]["labels"]
    assert labels["liver"]["dice"]["n"] == 3
    assert labels["liver tumor"]["dice"]["n"] == 1
    assert labels["liver tumor"]["presence_specificity"]["n"] == 1
    assert labels["liver tumor"]["false_positives"]["n"] == 2
    assert labels["liver tumor"]["num_lesions"] == 1
    gain = labels["liver tumor"]["auroc_gain_host"]["mean"]
    host = labels["liver tumor"]["auroc_host"]["mean"] - labels["liver tumor"]["anomaly_auroc_host"]["mean"]
    assert gain == pytest.approx(host, abs=1e-4)


def test_files(report):
    found, out = report
    assert json.loads(out.read_text()) == found
    text = out.with_suffix(".md").read_text()
    assert "| liver tumor |" in text
    assert "phantom_2" in text
    assert "| Lesions | 1 |" in text
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (out.parent / "montages").iterdir()} == {f"phantom_{n}.png" for n in range(3)}


def test_repeatable_and_compared_with_itself(report, phantoms, tiny_model, tmp_path):
    options = {"cases": ["phantom_0"], "out": tmp_path / "b.json"}
    again = evaluate_dataset(phantoms / "dataset.json", model=str(tiny_model), **options, compare_with=report[0])
    assert again["cases"]["phantom_0"] == report[0]["cases"]["phantom_0"]
    differences = [
        interval[key]
        for label in again["comparison"]["labels"].values()
        for interval in label.values()
        for key in ("low", "high")
    ]
    assert differences
    assert not any(differences)
    assert "## Minus dsm-tiny" in (tmp_path / "b.md").read_text()


def test_absent_names_measure_false_positives(phantoms, tiny_model, tmp_path):
    options = {"cases": ["phantom_0"], "prompts": ["liver"], "out": tmp_path / "c.json"}
    found = evaluate_dataset(phantoms, model=str(tiny_model), absent=["spleen"], **options)
    row = found["cases"]["phantom_0"]["spleen"]
    assert (row["true_ml"], row["dice"]) == (0, None)
    assert found["labels"]["spleen"]["false_positive_ml"]["mean"] == row["found_ml"]
    assert found["labels"]["spleen"]["presence_specificity"]["mean"] == float(not row["found"])
    assert found["mean_dice"]["mean"] == found["cases"]["phantom_0"]["liver"]["dice"]
    with pytest.raises(InputError, match="is annotated"):
        evaluate_dataset(phantoms, model=str(tiny_model), absent=["liver"], **options)


def test_trained_name_evaluated_as_unseen(report, phantoms, tiny_model, tmp_path):
    options = {"cases": ["phantom_0"], "out": tmp_path / "d.json"}
    found = evaluate_dataset(phantoms, model=str(tiny_model), unseen=["liver tumor"], **options)
    assert "froc" in report[0]["cases"]["phantom_0"]["liver tumor"]
    assert "froc" not in found["cases"]["phantom_0"]["liver tumor"]
    assert "as if unseen: liver tumor" in (tmp_path / "d.md").read_text()
    with pytest.raises(InputError, match="not a trained name"):
        evaluate_dataset(phantoms, model=str(tiny_model), unseen=["spleen tumor"], **options)


def test_label_with_another_origin_is_refused(phantoms, tiny_model, tmp_path):
    manifest = json.loads((phantoms / "dataset.json").read_text())
    for case in manifest["cases"]:
        case |= {key: str(phantoms / case[key]) for key in ("image", "label")}
    label = sitk.ReadImage(manifest["cases"][0]["label"])
    label.SetOrigin((1, 0, 0))
    sitk.WriteImage(label, str(tmp_path / "moved.nii.gz"))
    manifest["cases"][0]["label"] = "moved.nii.gz"
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="does not lie on its image"):
        evaluate_dataset(tmp_path, model=str(tiny_model), out=tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()


def test_missing_file_is_reported_before_evaluation(phantoms, tmp_path):
    manifest = json.loads((phantoms / "dataset.json").read_text())
    for case in manifest["cases"]:
        case |= {"image": str(phantoms / case["image"]), "label": "nothing.nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(ImageError, match=r"nothing\.nii\.gz of phantom_0"):
        evaluate_dataset(tmp_path, model="there is none", out=tmp_path / "r.json")


@pytest.mark.parametrize(
    "options", [{"cases": ["x"]}, {"prompts": ["spleen"]}, {"split": "test"}, {"split": "validation"}]
)
def test_nothing_to_evaluate(phantoms, tiny_model, tmp_path, options):
    with pytest.raises(InputError):
        evaluate_dataset(phantoms, model=str(tiny_model), out=tmp_path / "r.json", **options)


def test_name_of_two_structures(phantoms, tiny_model, tmp_path):
    manifest = json.loads((phantoms / "dataset.json").read_text())
    for case in manifest["cases"]:
        case |= {
            "image": str(phantoms / case["image"]),
            "label": str(phantoms / case["label"]),
            "present": {"kidney": 1},
        }
    manifest |= {"labels": {"1": "kidney"}, "annotated": ["kidney"], "union": {}}
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="left kidney and right kidney"):
        evaluate_dataset(tmp_path, model=str(tiny_model), out=tmp_path / "r.json")
