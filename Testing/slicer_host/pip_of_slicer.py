"""A Python environment that the test makes up, and Slicer's functions that call pip in it.

Of Slicer 5.10, `slicer.util.pip_install` is the real one wherever the `slicer-core` wheel or a checkout has it.

Held against `Base/Python/slicer/util.py` of Slicer 5.10.0 and `Base/Python/slicer/packaging.py` of 5.12.3 and of August
2026: a string is split as a POSIX shell does, a list is passed on as it is, anything else is refused; a version is
compared by `packaging`. Left out: dialogs, background installs, extras, `skip_packages`. With
`DSM_SLICER_SOURCE=<checkout>`, the module is Slicer's own, and only the process that it starts is a stand-in.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import slicer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

GENERATIONS = ("5.10", "5.12")
_SOURCE = os.environ.get("DSM_SLICER_SOURCE", "")


class _Distribution:
    def __init__(self, name: str, version: str) -> None:
        self.metadata, self.version, self.files = {"Name": name, "Version": version}, version, None

    def read_text(self, _: str) -> None:
        return None


class PipOfSlicer:
    """The packages of an interpreter, which pip adds to.

    Args:
        monkeypatch: Undoes all of it.
        generation: Which Slicer: one of `GENERATIONS`.
        versions: What is installed.

    Attributes:
        calls: The arguments of each call of pip, as they reach its process.
        constraints: The lines of the file of constraints of each call that had one.
        offers: Version of each package that pip can get; of others, it gets 99.0.
        fails: What the process raises; None for success.
        brings_nothing: Whether the process ends well and leaves nothing.
        asked: The text of each modal question.
        answer: The answer to them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, generation: str = "5.10", **versions: str) -> None:
        self.versions = {canonicalize_name(name): version for name, version in versions.items()}
        self.calls: list[list[str]] = []
        self.constraints: list[list[str]] = []
        self.offers: dict[str, str | None] = {}
        self.fails: Exception | None = None
        self.brings_nothing = False
        self.asked: list[str] = []
        self.answer = True
        monkeypatch.setattr(importlib.metadata, "version", self._version)
        monkeypatch.setattr(importlib.metadata, "distributions", self._distributions)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", self._confirm, raising=False)
        monkeypatch.setattr(slicer.util, "executePythonModule", self._execute, raising=False)
        monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False, raising=False)
        if generation == "5.10":
            monkeypatch.setitem(sys.modules, "slicer.packaging", None)
            monkeypatch.delattr(slicer, "packaging", raising=False)
            if "_executePythonModule" in slicer.util.pip_install.__code__.co_names:  # the real one, up to 5.11
                monkeypatch.setattr(slicer.util, "_executePythonModule", self._execute)
            else:
                monkeypatch.setattr(slicer.util, "pip_install", self._pip_install_of_5_10, raising=False)
            return
        self.packaging = _slicers_own(Path(_SOURCE)) if _SOURCE else self._stand_in()
        monkeypatch.setitem(sys.modules, "slicer.packaging", self.packaging)
        monkeypatch.setattr(slicer, "packaging", self.packaging, raising=False)
        monkeypatch.setattr(slicer.util, "pip_install", self.packaging.pip_install, raising=False)

    def _version(self, name: str) -> str:
        if canonicalize_name(name) not in self.versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return self.versions[canonicalize_name(name)]

    def _distributions(self, **_: Any) -> list[_Distribution]:
        return [_Distribution(name, version) for name, version in self.versions.items()]

    def _confirm(self, text: str, windowTitle: str = "", detailedText: str = "", **_: Any) -> bool:
        self.asked.append(f"{text}\n{detailedText}")
        return self.answer

    def _execute(self, module: str, args: list[str], **_: Any) -> None:
        """Be `python -m pip install`."""
        assert module == "pip"
        assert args[0] == "install"
        self.calls.append(list(args))
        if self.fails is not None:
            raise self.fails
        if self.brings_nothing:
            return
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("--no-index", action="store_true")
        parser.add_argument("--no-deps", action="store_true")
        parser.add_argument("--find-links")
        parser.add_argument("-c", "--constraint", type=Path)
        parser.add_argument("requirements", nargs="+")
        found = parser.parse_args(args[1:])
        pins: dict[str, str] = {}
        if found.constraint is not None:
            lines = found.constraint.read_text(encoding="utf-8").splitlines()
            self.constraints.append(lines)
            pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
        for text in found.requirements:
            requirement = Requirement(text)  # quotes that nobody took off are no requirement
            name = canonicalize_name(requirement.name)
            version = pins.get(name) or self.offers.get(name, "99.0")
            if version is None or version not in requirement.specifier:
                raise subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", *args])
            self.versions[name] = version

    def _pip_install_of_5_10(self, requirements: Any) -> None:
        self._execute("pip", ["install", *_split(requirements)])

    def _stand_in(self) -> types.ModuleType:
        module = types.ModuleType("slicer.packaging")

        def load_requirements(path: Path) -> list[Requirement]:
            lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
            return [Requirement(line) for line in lines if line and line[0] not in "#-"]

        def pip_check(req: Any) -> bool:
            return all(self._has(Requirement(str(one))) for one in (req if isinstance(req, list) else [req]))

        def pip_install(
            requirements: Any,
            constraints: Path | None = None,
            no_deps_requirements: Any = None,
            skip_packages: None = None,
            blocking: bool = True,
            show_progress: bool = True,
            requester: str | None = None,
        ) -> None:
            end = [] if constraints is None else ["-c", str(constraints)]
            if no_deps_requirements is not None:
                self._execute("pip", ["install", *_split(no_deps_requirements), "--no-deps", *end])
            self._execute("pip", ["install", *_split(requirements), *end])

        def pip_ensure(requirements: Any, constraints: Path | None = None, requester: str | None = None) -> None:
            missing = [str(one) for one in requirements if not pip_check(one)]
            if not missing:
                return
            if not slicer.util.confirmOkCancelDisplay("Continue?", requester, detailedText="\n".join(missing)):
                raise RuntimeError("User declined package installation")
            pip_install(missing, constraints=constraints, requester=requester)

        functions = (load_requirements, pip_check, pip_install, pip_ensure)
        vars(module).update({function.__name__: function for function in functions})
        module._pip_install_in_progress = False
        module.isPipInstallInProgress = lambda: module._pip_install_in_progress
        return module

    def _has(self, requirement: Requirement) -> bool:
        version = self.versions.get(canonicalize_name(requirement.name))
        return version is not None and version in requirement.specifier


def _split(requirements: Any) -> list[str]:
    if type(requirements) is str:
        return shlex.split(requirements)
    if type(requirements) is list:
        return requirements
    raise ValueError("pip_install requirement input must be string or list")


def _slicers_own(checkout: Path) -> types.ModuleType:
    path = checkout / "Base" / "Python" / "slicer" / "packaging.py"
    if not path.is_file():
        pytest.skip(f"{path} is not there: this Slicer is older than 5.12")
    spec = importlib.util.spec_from_file_location("slicer.packaging", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._isMainQtThread = lambda: False  # off the main thread it opens no windows
    return module
