"""The script that runs the self-tests in Slicer, with a stand-in for Slicer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "run_in_slicer.sh"
BASH = shutil.which("bash") or ""

pytestmark = pytest.mark.skipif(not BASH, reason="There is no bash.")


def run(folder: Path, status: int) -> tuple[int, list[str]]:
    """Return the exit status of the script, and what it told Slicer to run, where Slicer ends with `status`."""
    slicer, log = folder / "Slicer", folder / "log"
    slicer.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexit {status}\n')
    slicer.chmod(0o755)
    variables = {**os.environ, "DISPLAY": ":0"}  # so that no display is made
    done = subprocess.run([BASH, str(SCRIPT), str(slicer)], env=variables, capture_output=True, check=False)
    return done.returncode, re.findall(r"'(\w+)'\)$", log.read_text(), re.MULTILINE)


def test_all_self_tests_are_run(tmp_path: Path) -> None:
    assert run(tmp_path, 0) == (0, ["DSMSegment", "DSMSegmentPanelTest", "DSMSegmentDicomTest"])


def test_failure_sets_the_exit_status(tmp_path: Path) -> None:
    assert run(tmp_path, 3) == (3, ["DSMSegment"])


def test_script_has_no_arrays_for_bash_3() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert "set -euo" in text
    assert not re.findall(r"\w+=\(|\[@\]", text)
