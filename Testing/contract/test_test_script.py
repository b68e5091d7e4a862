"""`make test` ends even if a test process crashes, and every deselected marker has a target of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_WAIT_S = 120  # on a busy machine two processes take half a minute to start


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for bash")
def test_crash_of_a_test_process_fails_the_run(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    script = (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8")
    options = re.search(r"-m pytest (-n .*) -q Testing", script)[1].split()
    # The process that crashes is due to run more of them.
    (tmp_path / "test_crash.py").write_text(
        "import os, time, pytest\n"
        "@pytest.mark.parametrize('n', range(6))\n"
        "def test_before(n): time.sleep(0.1)\n"
        "def test_crash(): os.abort()\n"
        "@pytest.mark.xdist_group('group')\n"
        "def test_grouped(): time.sleep(0.1)\n"
        "@pytest.mark.parametrize('n', range(6))\n"
        "def test_after(n): time.sleep(0.1)\n",
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", *options, "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=_WAIT_S, check=False, encoding="utf-8"
    )
    assert ended.returncode == 1, ended.stdout
    assert "crashed while running 'test_crash.py::test_crash'" in ended.stdout


def test_each_marker_has_a_make_target() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    names = [marker.partition(":")[0] for marker in options["markers"]]
    assert options["addopts"][-2:] == ["-m", " and ".join(f"not {name}" for name in names)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Testing").rglob("test_*.py"))
    for name in names:
        assert f" -m {name} " in makefile
        assert re.search(rf"^(@|pytestmark = \[?)pytest\.mark\.{name}\b", tests, re.MULTILINE)
