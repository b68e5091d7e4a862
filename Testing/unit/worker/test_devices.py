"""Detection of devices, with a reason for those that cannot be used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dsm.worker import devices


@pytest.fixture
def _linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda _name: "nvidia-smi")


def driver(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: SimpleNamespace(stdout=answer))


@pytest.mark.usefixtures("_linux")
def test_gpus_have_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, "Card, with comma, 1000, 2000\nOther, 1, 2\n")
    monkeypatch.setattr(devices, "torch_version", lambda: "2.13.0+cu130")
    cpu, first, second = devices.find_devices()
    assert (cpu.id, cpu.usable, cpu.reason) == ("cpu", True, "")
    assert (first.id, first.name, first.free, first.total) == ("cuda:0", "Card, with comma", 1000 * 2**20, 2000 * 2**20)
    assert (second.id, second.usable) == ("cuda:1", True)


@pytest.mark.usefixtures("_linux")
@pytest.mark.parametrize(("torch", "reason"), [("2.13.0+cpu", "without CUDA"), ("", "not installed")])
def test_gpu_without_matching_torch_has_a_reason(monkeypatch: pytest.MonkeyPatch, torch: str, reason: str) -> None:
    driver(monkeypatch, "Card, 1, 2\n")
    monkeypatch.setattr(devices, "torch_version", lambda: torch)
    cpu, gpu = devices.find_devices()
    assert not gpu.usable
    assert reason in gpu.reason
    assert cpu.usable == bool(torch)


@pytest.mark.usefixtures("_linux")
@pytest.mark.parametrize("answer", ["", "garbage", "a, b, c"])
def test_invalid_driver_output_makes_gpu_unusable(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    driver(monkeypatch, answer)
    _, gpu = devices.find_devices()
    assert not gpu.usable
    assert gpu.reason


@pytest.mark.usefixtures("_linux")
def test_hanging_driver_makes_gpu_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_args: object, **_kwargs: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 5)

    monkeypatch.setattr(subprocess, "run", hang)
    assert not devices.find_devices()[1].usable
