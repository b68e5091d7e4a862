import numpy as np
import pytest

from dsm.errors import InputError
from dsm.evaluation.summary import compare, measures, summarize


def organ(dice, *, true_ml=10.0, found_ml=9.0, nsd=0.5, hd95_mm=4.0):
    return {
        "kind": "organ",
        "dice": dice,
        "nsd": None if dice is None else nsd,
        "hd95_mm": hd95_mm if dice else None,
        "found": found_ml > 0,
        "found_ml": found_ml,
        "true_ml": 0.0 if dice is None else true_ml,
        "score": 0.5,
    }


def tumor(dice, shares=(), false_positives=0, **ranking):
    lesions = [{"ml": 1.0, "share": share} for share in shares]
    return organ(dice) | {"kind": "tumor", "lesions": lesions, "false_positives": false_positives} | ranking


def test_absent_name_has_no_dice_but_counts_as_false_volume():
    found = measures(organ(None, found_ml=3.0))
    assert found == {"presence_specificity": (0.0, 1.0), "false_positive_ml": (3.0, 1.0)}
    assert measures(organ(None, found_ml=0.0))["presence_specificity"] == (1.0, 1.0)


def test_missed_organ_has_dice_zero_and_no_distance():
    found = measures(organ(0.0, found_ml=0.0))
    assert found["dice"] == (0.0, 1.0)
    assert found["presence_sensitivity"] == (0.0, 1.0)
    assert "hd95_mm" not in found


def test_lesions_are_weighted_by_their_number():
    labels = summarize({"a": {"x": tumor(0.5, (0.1,))}, "b": {"x": tumor(0.1, (0.5, 0.09, 0.0))}})["labels"]
    assert labels["x"]["lesion_sensitivity"]["mean"] == pytest.approx(2 / 4)
    assert labels["x"]["lesion_sensitivity"]["n"] == 2


def test_false_positives_of_tumor_free_scans_are_separate():
    rows = {"a": {"x": tumor(0.5, (1.0,), 1)}, "b": {"x": tumor(None, (), 4)}, "c": {"x": tumor(None, (), 2)}}
    label = summarize(rows)["labels"]["x"]
    assert label["false_positives"]["mean"] == pytest.approx(7 / 3, abs=1e-5)
    assert label["false_positives_tumor_free"] == {"mean": 3.0, "low": 2.0, "high": 4.0, "n": 2}


def test_gain_over_the_anomaly_map_is_paired():
    rows = {
        case: {"x": tumor(0.5, (1.0,), auroc_host=a, fpr95_host=0.1, anomaly_auroc_host=b, anomaly_fpr95_host=0.4)}
        for case, a, b in (("a", 0.9, 0.8), ("b", 0.6, 0.5))
    }
    label = summarize(rows)["labels"]["x"]
    assert label["auroc_host"]["mean"] == pytest.approx(0.75)
    assert label["auroc_gain_host"]["mean"] == pytest.approx(0.1)
    assert label["auroc_gain_host"]["low"] == pytest.approx(0.1)  # the same in both cases
    assert "auroc_body" not in label


def test_mean_dice_averages_over_names():
    rows = {"a": {"x": organ(1.0), "y": organ(0.0)}, "b": {"x": organ(0.8)}, "c": {"x": organ(0.6), "z": organ(None)}}
    report = summarize(rows)
    assert report["mean_dice"]["mean"] == pytest.approx((0.8 + 0.0) / 2)
    assert report["mean_dice"]["names"] == 2
    assert report["mean_dice"]["n"] == 3
    assert summarize({"c": {"z": organ(None)}})["mean_dice"] is None


def report_of(rows, name="m"):
    return {"model": {"name": name}, "cases": rows, **summarize(rows)}


def test_compare_pairs_cases():
    rng = np.random.default_rng(0)
    dice = {f"c{n}": float(d) for n, d in enumerate(rng.uniform(0.2, 0.9, size=12))}
    better = report_of({case: {"x": organ(d + 0.05)} for case, d in dice.items()}, "better")
    worse = report_of({case: {"x": organ(d)} for case, d in dice.items()} | {"other": {"x": organ(0.0)}}, "worse")
    found = compare(better, worse)
    assert (found["this"], found["other"]) == ("better", "worse")
    assert found["labels"]["x"]["dice"] == pytest.approx({"mean": 0.05, "low": 0.05, "high": 0.05, "n": 12})
    assert found["mean_dice"]["mean"] == pytest.approx(0.05)
    assert compare(worse, better)["labels"]["x"]["dice"]["mean"] == pytest.approx(-0.05)


def test_compare_needs_common_cases():
    with pytest.raises(InputError, match="in common"):
        compare(report_of({"a": {"x": organ(1.0)}}), report_of({"b": {"x": organ(1.0)}}))
