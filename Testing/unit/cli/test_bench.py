"""Output of `dsm bench`, with the measurement replaced."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dsm.cli.main import main

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurement by the report it would return; yields plan and precision of each run."""
    runs = []

    def run_bench(plan, *, precision, **_):
        runs.append((plan.name, precision))
        return REPORT | {"precision": precision, "requested_precision": precision}

    monkeypatch.setattr("dsm.bench.run.run_bench", run_bench)
    monkeypatch.setattr("dsm.models.store.verify_model", lambda _: None)
    return runs


def row(name: str, title: str) -> dict:
    return {
        "name": name,
        "title": title,
        "source": "ours",
        "cpu_s": 12.5,
        "wall_s": 13.0,
        "peak_rss_bytes": 1.6e9,
        "kflop_per_voxel": 20,
        "tflop": 1.5,
        "windows": 1,
        "windows_run": 1,
        "stages_cpu_s": {"encode": 8.0},
        "next_prompt_cpu_s": {"liver": 0.2},
        "found": 25,
    }


REPORT = {
    "plan": "quick",
    "machine": {"threads": 1, "cores": 2, "processor": "x", "load_before": 0.1, "conv_peak_gflops": 100.0},
    "volume": {"shape": [64, 64, 32], "spacing_mm": [1.0, 1.0, 1.0]},
    "versions": {"torch": "2"},
    "seconds": 3.0,
    "own_runs_cpu_s": [12.5, 12.6],
    "ratios": {"peak_rss_gb": 1.6},
    "rows": [row("dsm", "DSM small"), row("peer", "Other")],
    "curves": {
        "prompts": {"encode": 8.0, "prompts": {"1": 0.2, "100": 2.0}},
        "slices": {"75": {"encode": 2.0, "prompts": 0.5}, "300": {"encode": 8.0, "prompts": 2.0}},
    },
}


def command_of_the_readme() -> list[str]:
    (found,) = re.findall(r"`(dsm bench[^`]*)`", README.read_text(encoding="utf-8"))
    return shlex.split(found)[1:]


def test_command_of_the_readme_prints_the_table_and_writes_nothing(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command_of_the_readme()) == 0
    assert measured == [("quick", "float32")]
    assert "| DSM small (ours) | 12.5 |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_table_does_not_require_matplotlib(measured, monkeypatch, capsys):
    monkeypatch.setattr("dsm.cli.output_check.find_spec", lambda name: None if name == "matplotlib" else object())
    assert main(["bench"]) == 0
    assert "| DSM small (ours) |" in capsys.readouterr().out
    assert main(["bench", "-o", "out"]) != 0
    assert "matplotlib" in capsys.readouterr().err


def test_folder_gets_report_table_and_figure(measured, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["bench", "--full", "-o", str(tmp_path / "out")]) == 0
    assert measured == [("full", "float32")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.json", "bench.md", "bench.png"}
    assert (tmp_path / "out" / "bench.md").read_text(encoding="utf-8") in capsys.readouterr().out


def test_precision_is_passed_on(measured, capsys):
    assert main(["bench", "--precision", "int8"]) == 0
    assert measured == [("quick", "int8")]
    assert "network in int8;" in capsys.readouterr().out


def test_unsupported_precision_is_refused_before_measuring(measured, monkeypatch, capsys):
    monkeypatch.setattr("dsm.inference.precision.has_bfloat16", lambda _: False)
    assert main(["bench", "--precision", "bfloat16"]) != 0
    assert measured == []
    assert "does not compute in bfloat16" in capsys.readouterr().err
