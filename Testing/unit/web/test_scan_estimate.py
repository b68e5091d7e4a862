"""Estimates learned in one scene are used by all scenes of the server; without a server or a browser."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("trame_server", reason="trame is not installed")

from dsm.core.volume import Volume
from DSMSegmentLib import JobState, RemoteBackend, Runs
from DSMSegmentWeb.scan_estimate import ScanEstimate


def scan(length: int) -> Volume:
    return Volume(np.full((64, 64, length), 40, np.int16), np.diag([1.5, 1.5, 1.5, 1.0]))


def scene(file: Path, address: str = "server:8470") -> tuple[Any, ScanEstimate]:
    state = SimpleNamespace(estimate="")
    return state, ScanEstimate(state, Runs(RemoteBackend(address, "token")), file)  # type: ignore[arg-type]


def run_of(volume: Volume, seconds: float | None, state: JobState) -> Any:
    """Attributes of a finished job that are read."""
    return SimpleNamespace(volume=volume, encodeSeconds=seconds, state=state)


def test_estimate_is_shared_between_scenes(tmp_path: Path) -> None:
    file = tmp_path / "speeds.json"
    (first, learns), (second, says) = scene(file), scene(file)
    says.show(scan(64))
    assert second.estimate == ""
    learns.learn(run_of(scan(64), 10.0, JobState.FINISHED))
    assert first.estimate == ""
    says.show(scan(192))
    assert "about 30 s" in second.estimate
    other, elsewhere = scene(file, "other:8470")
    elsewhere.show(scan(64))
    assert other.estimate == "", "of another server, nothing is known"


def test_estimate_is_shown_until_the_scan_is_encoded(tmp_path: Path) -> None:
    state, estimate = scene(tmp_path / "speeds.json")
    estimate.learn(run_of(scan(64), 10.0, JobState.FINISHED))
    estimate.show(scan(64))
    said = state.estimate
    assert "about 10 s" in said
    estimate.learn(run_of(scan(64), None, JobState.CANCELLED))
    assert state.estimate == said
    estimate.learn(run_of(scan(64), 10.0, JobState.CANCELLED))  # after the encoding
    assert state.estimate == ""


def test_unreadable_or_unwritable_file_is_ignored(tmp_path: Path) -> None:
    state, estimate = scene(tmp_path / "no folder" / "speeds.json")
    estimate.learn(run_of(scan(64), 10.0, JobState.FINISHED))
    (tmp_path / "speeds.json").write_text("{")
    state, estimate = scene(tmp_path / "speeds.json")
    estimate.show(scan(64))
    assert state.estimate == ""
