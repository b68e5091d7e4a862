"""Systems for which pip finds no recent PyTorch."""

from __future__ import annotations

import pytest

from dsm.core.local_computing import System, why_not_local


@pytest.mark.parametrize(
    ("build", "machine", "bits", "implementation"),
    [
        ("linux-x86_64", "x86_64", 64, "cpython"),
        ("linux-aarch64", "aarch64", 64, "cpython"),
        ("win-amd64", "AMD64", 64, "cpython"),
        ("win-amd64", "ARM64", 64, "cpython"),  # Slicer under emulation: packages for Intel processors fit
        ("macosx-11.0-arm64", "arm64", 64, "cpython"),
        ("macosx-10.13-universal2", "arm64", 64, "cpython"),
    ],
)
def test_supported_systems(build: str, machine: str, bits: int, implementation: str) -> None:
    assert why_not_local(System(build, machine, bits, implementation)) == ""


@pytest.mark.parametrize(
    ("build", "machine", "bits", "implementation", "said"),
    [
        ("macosx-11.0-x86_64", "x86_64", 64, "cpython", "built for Intel processors is 2.2.2"),
        ("macosx-11.0-x86_64", "arm64", 64, "cpython", "also on Apple silicon"),
        ("macosx-10.13-universal2", "x86_64", 64, "cpython", "built for Intel processors"),
        ("win-arm64", "ARM64", 64, "cpython", "Windows on ARM"),
        ("win32", "AMD64", 32, "cpython", "32-bit"),
        ("linux-x86_64", "x86_64", 32, "cpython", "32-bit"),
        ("linux-armv7l", "armv7l", 32, "cpython", "32-bit"),
        ("linux-x86_64", "x86_64", 64, "pypy", "implementation pypy"),
        ("linux-riscv64", "riscv64", 64, "cpython", "linux-riscv64"),
        ("freebsd-14.1-release-amd64", "amd64", 64, "cpython", "freebsd"),
    ],
)
def test_unsupported_systems_give_a_reason(build: str, machine: str, bits: int, implementation: str, said: str) -> None:
    assert said in why_not_local(System(build, machine, bits, implementation))


def test_this_system_is_supported() -> None:
    pytest.importorskip("torch")
    assert why_not_local() == ""
