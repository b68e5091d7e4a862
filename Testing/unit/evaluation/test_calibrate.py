"""Presence decision and score, fitted on samples."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dsm.core.evidence import Evidence
from dsm.core.volume import Volume
from dsm.errors import ConfigError, InputError
from dsm.evaluation.altered_scans import altered_scans
from dsm.evaluation.calibrate import (
    Sample,
    calibrate,
    calibration_table,
    labelled_sets,
    read_samples,
)
from dsm.evaluation.json_lines import append_lines
from dsm.evaluation.logistic_fit import fit_logistic
from dsm.evaluation.reliability import reliability
from dsm.io.manifest import CaseEntry


def test_reliability_by_hand() -> None:
    found = reliability([0.95, 0.95, 0.15, 0.15], [True, False, False, False])
    assert found["num"] == 4
    assert [bin_["num"] for bin_ in found["curve"]] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found["curve"][9]["observed"] == 0.5
    assert found["expected_calibration_error"] == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)
    assert found["brier"] == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.15**2) / 4, abs=1e-4)
    assert reliability([], [])["expected_calibration_error"] is None


def test_logistic_fit_recovers_the_truth_and_no_negative_weight() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(4000), rng.normal(size=(4000, 2))])
    chance = 1 / (1 + np.exp(-(features @ [-0.5, 1.0, -1.0])))
    bias, first, second = fit_logistic(features, rng.random(4000) < chance)
    assert bias < 0
    assert first > 0.5
    assert second == 0


def samples_of_cases(count: int) -> list[Sample]:
    """Return samples of easily told structures, present and absent, right and wrong."""
    rng = np.random.default_rng(1)
    samples = []
    for number in range(count):
        for name, is_there in (("liver", True), ("spleen", False), ("aorta", True)):
            evidence = Evidence(rng.normal(4 if is_there else -3), rng.uniform(0.8, 0.95), 100 if is_there else 3)
            dice = 0.9 if is_there else 0.0
            case = ("set", f"case {number}", "whole")
            samples.append(Sample(case, name, is_there, dice, 100.0 if is_there else 0.0, evidence))
    return samples


def test_presence_and_score_on_held_out_cases() -> None:
    found = calibrate(samples_of_cases(12), model_digest="abc")
    assert found.model_digest == "abc"
    assert found.typical_ml == {"aorta": 100.0, "liver": 100.0}
    assert found.measured["presence"]["present"]["share_found"] >= 0.9
    assert found.measured["presence"]["absent"]["share_found"] <= 0.1
    assert found.measured["score"]["expected_calibration_error"] < 0.15
    assert found.is_present("liver", Evidence(4.0, 0.9, 100.0))
    assert not found.is_present("liver", Evidence(-4.0, 0.6, 1.0))
    assert found.score_of("liver", Evidence(4.0, 0.9, 100.0)) > found.score_of("liver", Evidence(0.0, 0.6, 1.0))
    sure = [found.score_of("liver", s.evidence) for s in samples_of_cases(12) if s.dice and s.evidence]
    assert 0 < np.mean(np.array(sure) < found.doubtful_below) < 0.1
    assert "| Learned names that are not: found |" in calibration_table(found)


def test_structure_without_a_mask_counts_as_missed() -> None:
    blind = [
        dataclasses.replace(sample, evidence=None) if sample.name == "aorta" else sample
        for sample in samples_of_cases(6)
    ]
    present = calibrate(blind, model_digest="").measured["presence"]["present"]
    assert present["by_name"]["aorta"] == {"num": 6, "found": 0}


def test_too_few_samples() -> None:
    with pytest.raises(InputError, match="not both"):
        calibrate([sample for sample in samples_of_cases(3) if sample.is_there], model_digest="")


def test_samples_round_trip_through_a_file(tmp_path: Path) -> None:
    samples = samples_of_cases(2)
    samples[0] = Sample(("set", "case", "whole"), "liver", None, None, None, None)
    append_lines(tmp_path / "s.jsonl", samples[:2])
    append_lines(tmp_path / "s.jsonl", samples[2:])
    assert read_samples(tmp_path / "s.jsonl") == samples
    assert read_samples(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("wrong", [{"folders": "btcv"}, {"folder": "btcv", "absent_regions": ["tail"]}])
def test_wrong_recipe(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        labelled_sets([wrong])


def test_altered_scans_stay_aligned_with_their_labels() -> None:
    array = np.full((20, 10, 60), -100.0, np.float32)
    label = np.zeros(array.shape, np.uint8)
    array[12:16, 3:6, 40:50], label[12:16, 3:6, 40:50] = 60, 1
    volume = Volume(array, np.diag([2.0, 2.0, 5.0, 1.0]), "CT")
    entry = CaseEntry("c", Path("i"), Path("l"), "CT", {"spleen": (1,)}, validation=True)
    found = {
        name: (image, ids) for name, image, ids in altered_scans(entry, volume, label, crops=True, removed=["spleen"])
    }
    assert list(found) == ["whole", "k 0-30", "k 30-60", "i lower half", "i upper half", "without spleen"]
    for image, ids in found.values():
        assert image.shape == ids.shape
        assert np.array_equal(image.array == 60, ids == 1)
    upper, _ = found["k 30-60"]
    assert upper.affine[2, 3] == 150
    assert not found["i lower half"][1].any()
    assert not found["without spleen"][1].any()
