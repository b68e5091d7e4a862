import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from dsm.training.processes import Processes

PACKAGE = Path(__file__).resolve().parents[3] / "DSMSegment"


def test_alone_by_default():
    alone = Processes.from_environment()
    assert (alone.is_first, alone.count) == (True, 1)
    assert list(alone.share(3)) == [0, 1, 2]


def test_crops_are_shared():
    assert [list(Processes(rank, 2).share(5)) for rank in (0, 1)] == [[0, 2, 4], [1, 3]]


def losses(root, recipe, run, processes):
    """Loss of each step of a run with some processes, over gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "import logging, sys; from dsm.training import train; logging.disable();"
        "train.Trainer._log = lambda self, **values: None;"
        "real = train.Trainer._accumulate; seen = [];\n"
        "def noted(self, *a):\n    parts = real(self, *a); seen.append(parts['loss']); return parts\n"
        "train.Trainer._accumulate = noted;"
        "train.main(sys.argv[1], out=sys.argv[2], text_bank=sys.argv[3]); import json; print(json.dumps(seen))"
    )
    started = []
    for rank in range(processes):
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
        if processes > 1:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            environment |= {**address, "WORLD_SIZE": str(processes), "RANK": str(rank)}
        command = [sys.executable, "-c", script, str(recipe), str(root / run), str(root / "bank")]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=200)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return json.loads(outputs[0])


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny_recipe, phantoms, small_bank, tmp_path):
    values = asdict(tiny_recipe) | {"data_root": str(phantoms), "crops_per_step": 2, "validation_cases": ()}
    values |= {"alignment_weight": 0.1, "anomaly_weight": 0.1, "synthetic_lesions": None}
    values["model"] = {**values["model"], "visual_prompt": True}
    plain = json.loads(json.dumps(values))  # tuples as lists
    (tmp_path / "recipes").mkdir()
    recipe = tmp_path / "recipes" / "x.yaml"
    recipe.write_text(yaml.safe_dump(plain))
    (tmp_path / "bank").mkdir()
    small_bank.save(tmp_path / "bank")
    one = losses(tmp_path, recipe, "one", 1)
    two = losses(tmp_path, recipe, "two", 2)
    assert len(one) == 6
    # In the first phase the statistics of BatchNorm are those of the crop; the second uses running ones, which two
    # processes average and one updates in turn.
    assert two[:3] == pytest.approx(one[:3], abs=1e-4)
    assert two[3:] == pytest.approx(one[3:], rel=0.1)
    assert (tmp_path / "two" / "model.safetensors").is_file()
