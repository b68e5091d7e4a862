"""Free memory within the limits of system, container and process."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dsm.core import memory
from dsm.core.memory import MainMemory, main_memory, peak_memory_bytes

GB = 10**9


@pytest.fixture
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """16 GB, of which 9 are free, and no limits."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=9 * GB, total=16 * GB))
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_address_space_limit", lambda: None)


@pytest.mark.usefixtures("_machine")
def test_without_limits_memory_is_that_of_the_system() -> None:
    assert main_memory() == MainMemory(9 * GB, 16 * GB)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        (f"{4 * GB}", f"{GB}", MainMemory(3 * GB, 4 * GB)),
        (f"{GB}", f"{2 * GB}", MainMemory(0, GB)),
        (f"{64 * GB}", f"{GB}", MainMemory(9 * GB, 16 * GB)),
        ("max", f"{GB}", MainMemory(9 * GB, 16 * GB)),
    ],
)
def test_container_limit_bounds_memory(tmp_path: Path, limit: str, used: str, expected: MainMemory) -> None:
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(used + "\n")
    assert main_memory() == expected


@pytest.mark.usefixtures("_machine")
def test_address_space_limit_bounds_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_address_space_limit", lambda: MainMemory(GB, 2 * GB))
    assert main_memory() == MainMemory(GB, 2 * GB)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_address_space_limit_is_read_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (4 * GB, 4 * GB))
    monkeypatch.setattr(
        psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(vms=1 * GB, rss=GB // 2))
    )
    assert memory._address_space_limit() == MainMemory(3 * GB, 4 * GB)


def test_memory_of_this_machine_and_peak_of_this_process() -> None:
    here = main_memory()
    assert 0 < here.free <= here.total
    assert 10 * 2**20 < peak_memory_bytes("cpu") < psutil.virtual_memory().total
