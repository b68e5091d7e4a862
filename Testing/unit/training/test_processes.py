import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from dsm.training.processes import Processes

PACKAGE = Path(__file__).resolve().parents[3] / "DSMSegment"


def test_single_process_by_default():
    alone = Processes.from_environment()
    assert (alone.is_first, alone.count) == (True, 1)
    assert list(alone.share(3)) == [0, 1, 2]


def test_crops_are_shared():
    assert [list(Processes(rank, 2).share(5)) for rank in (0, 1)] == [[0, 2, 4], [1, 3]]


def losses_alone_and_in_two(recipe, bank, out):
    """Loss of each step of a run alone, and of one in two processes over gloo."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    program = Path(__file__).with_name("forked_runs.py")
    subprocess.run([sys.executable, program, recipe, bank, out], env=environment, timeout=200, check=True)
    return [json.loads((out / run / "losses.json").read_text()) for run in ("one", "two")]


def test_two_processes_match_one(tiny_recipe, phantoms, small_bank, tmp_path):
    values = asdict(tiny_recipe) | {"data_root": str(phantoms), "crops_per_step": 2, "validation_cases": ()}
    values |= {"alignment_weight": 0.1, "anomaly_weight": 0.1, "synthetic_lesions": None}
    values["model"] = {**values["model"], "visual_prompt": True}
    plain = json.loads(json.dumps(values))  # tuples as lists
    (tmp_path / "recipes").mkdir()
    recipe = tmp_path / "recipes" / "x.yaml"
    recipe.write_text(yaml.safe_dump(plain))
    (tmp_path / "bank").mkdir()
    small_bank.save(tmp_path / "bank")
    one, two = losses_alone_and_in_two(recipe, tmp_path / "bank", tmp_path)
    assert len(one) == 6
    # In the first phase the statistics of BatchNorm are those of the crop; the second uses running ones, which two
    # processes average and one updates in turn.
    assert two[:3] == pytest.approx(one[:3], abs=1e-4)
    assert two[3:] == pytest.approx(one[3:], rel=0.1)
    assert (tmp_path / "two" / "model.safetensors").is_file()
