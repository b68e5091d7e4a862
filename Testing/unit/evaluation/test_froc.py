import pytest

from dsm.evaluation.froc import CONFIDENCES, sensitivity_at_few_false_positives


def row(num_lesions, *points):
    """A scan whose curve has the given (found, false positives), the last one repeated."""
    points = [*points, *[points[-1]] * (len(CONFIDENCES) - len(points))]
    froc = [
        {"confidence": confidence, "found": found, "false_positives": false}
        for confidence, (found, false) in zip(CONFIDENCES, points, strict=True)
    ]
    return {"lesions": [{}] * num_lesions, "froc": froc}


def test_highest_sensitivity_within_the_false_positive_limit():
    rows = [row(4, (4, 9), (3, 4), (2, 1)), row(1, (1, 3), (1, 2), (0, 0)), row(0, (0, 2), (0, 1), (0, 0))]
    point = sensitivity_at_few_false_positives(rows)
    assert point["confidence"] == CONFIDENCES[1]
    assert point["mean"] == pytest.approx(4 / 5)
    assert point["false_positives"] == pytest.approx(7 / 3, abs=1e-3)
    assert point["n"] == 2


def test_no_point_with_few_false_positives():
    assert sensitivity_at_few_false_positives([row(1, (1, 4))]) is None


def test_no_lesion():
    assert sensitivity_at_few_false_positives([row(0, (0, 0))]) is None


def test_tumor_that_is_not_trained_has_no_curve():
    assert sensitivity_at_few_false_positives([{"lesions": [{}]}]) is None
