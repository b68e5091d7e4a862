"""`dsm batch --engine ray` on a cluster of this machine."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from batch_process import Batch, command, environment
from dicom_series import phantom, write_series

pytest.importorskip("highdicom")

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        return [{**row, "seconds": ""} for row in csv.DictReader(stream)]


def actors() -> list[int]:
    """Processes of actors that are at work on a case."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::_CohortActor.run"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_cluster_gives_local_results_even_if_an_actor_is_killed(batch: Batch, tmp_path: Path) -> None:
    root = tmp_path / "scans"
    write_series(root / "1")
    write_series(root / "2", voxels=phantom((130, 110, 60)))
    write_series(root / "3", shear=0.3)
    assert batch(root, tmp_path / "local").returncode == 3
    line = command(root, tmp_path / "ray", "--engine", "ray", "--workers", "1")
    with subprocess.Popen(line, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 200
        while not (pids := actors()):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        assert process.wait(250) == 3
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")
    assert not (tmp_path / "ray" / ".work").exists()
