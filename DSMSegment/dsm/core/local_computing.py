"""Availability of PyTorch for this system, reported before anybody tries to install it."""

from __future__ import annotations

import importlib.util
import platform
import struct
import sys
import sysconfig
from dataclasses import dataclass

from dsm.errors import MissingDependencyError


@dataclass(frozen=True)
class System:
    """Platform properties that decide which wheels fit an interpreter.

    Attributes:
        build: What the interpreter was built for, as `sysconfig.get_platform()` names it, e.g. `"win-amd64"`. Not the
            machine: a program for Intel processors also runs on Apple silicon and on Windows on ARM, and needs
            packages for Intel processors there.
        machine: What the system says to this process, e.g. `"arm64"`; decides for a build for both processors.
        bits: Width of a pointer.
        implementation: Name of the interpreter, e.g. `"cpython"`.
    """

    build: str
    machine: str
    bits: int
    implementation: str

    @classmethod
    def this(cls) -> System:
        """Return the system of the running interpreter."""
        bits = 8 * struct.calcsize("P")
        return cls(sysconfig.get_platform(), platform.machine(), bits, sys.implementation.name)


def why_not_local(system: System | None = None) -> str:
    """Return the reason why no sufficient PyTorch can be installed.

    Args:
        system: None for this one.

    Returns:
        One sentence; empty where there are wheels of it.
    """
    system = system or System.this()
    kind, _, processor = system.build.lower().rpartition("-")
    if processor == "universal2":
        processor = system.machine.lower()
    if kind.startswith("macosx") and processor == "x86_64":
        return (
            "The last PyTorch for macOS programs that are built for Intel processors is 2.2.2, which is too old; "
            "this program is one, also on Apple silicon."
        )
    if system.build == "win-arm64":
        return "pip finds no PyTorch for Windows on ARM."
    if system.bits < 64:
        return "There is no PyTorch for 32-bit programs."
    if system.implementation != "cpython":
        return f"There is no PyTorch for the Python implementation {system.implementation}."
    if not kind.startswith(("linux", "macosx", "win")) or processor not in ("x86_64", "amd64", "aarch64", "arm64"):
        return f"There is no PyTorch for {system.build}."
    return ""


def check_torch() -> None:
    """Check that PyTorch is installed, without importing it; call before long work that needs it.

    Raises:
        MissingDependencyError: If PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("PyTorch is not installed.", hint=torch_hint())


def torch_hint() -> str:
    """Return how to proceed where PyTorch is not installed."""
    why = why_not_local()
    return (
        f"{why} Let a server compute: dsm serve on another computer." if why else "Install it with: pip install torch"
    )
