"""Round trip of `calibration.json`, and its match with the network."""

import json
from pathlib import Path

import pytest

from dsm.core.evidence import Evidence
from dsm.errors import WeightsError
from dsm.models.calibration import CALIBRATION_FILE, Calibration, features_of

CALIBRATION = Calibration(
    model_digest="abc",
    typical_ml={"liver": 1500.0},
    presence=(-1.0, 1.0, 0.5, 0.5),
    least_presence=0.5,
    score=(-2.0, 0.5, 0.5, 1.0),
    doubtful_below=0.7,
    laterality=(-5.0, 1.0, 1.0, 2.0),
    measured={"num": 3},
)


def test_round_trip(tmp_path: Path) -> None:
    CALIBRATION.save(tmp_path)
    assert Calibration.load(tmp_path, model_digest="abc") == CALIBRATION


def test_defaults_for_files_of_older_versions(tmp_path: Path) -> None:
    path = CALIBRATION.save(tmp_path)
    values = json.loads(path.read_text())
    del values["doubtful_below"], values["laterality"]
    path.write_text(json.dumps(values))
    found = Calibration.load(tmp_path, model_digest="abc")
    assert found is not None
    assert (found.doubtful_below, found.laterality) == (0.8, ())


def test_calibration_of_another_network_is_ignored(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path, model_digest="abc") is None
    CALIBRATION.save(tmp_path)
    assert Calibration.load(tmp_path, model_digest="def") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_digest": 1, "typical_ml": 2}'])
def test_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / CALIBRATION_FILE).write_text(text)
    with pytest.raises(WeightsError, match="damaged"):
        Calibration.load(tmp_path, model_digest="abc")


def test_features_are_clipped() -> None:
    assert features_of(Evidence(1e9, 1.0, 0.0), 10.0)[1] == 30
    assert features_of(Evidence(0.0, 0.5, 1000.0), 10.0) == (1.0, 0.0, 0.0, 0.0)
    assert features_of(Evidence(0.0, 0.5, 1.0), 10.0)[3] == pytest.approx(-1)
    assert features_of(Evidence(0.0, 0.5, 1.0), None)[3] == 0
