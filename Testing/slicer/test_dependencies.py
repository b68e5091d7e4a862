"""Packages: what is missing is said, asked about once, and installed without touching what Slicer has."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slicer

from DSMSegmentLib import dependencies
from DSMSegmentLib.dependencies import InstallError, installFromFolder, installMissing, missingRequirements

ROOT = Path(__file__).parents[2]


class Site:
    """The packages of an interpreter that the test makes up; pip is what adds to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
        self.versions = versions
        self.commands: list[str] = []
        monkeypatch.setattr(importlib.metadata, "version", self._version)
        monkeypatch.setattr(slicer.util, "pip_install", self._pip, raising=False)

    def _version(self, name: str) -> str:
        if name not in self.versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return self.versions[name]

    def _pip(self, command: str) -> None:
        self.commands.append(command)
        name = re.search(r'"([A-Za-z]+)>=[\d.]+"', command)
        assert name is not None
        self.versions[name[1]] = "99.0"


def questions(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or answer)
    return asked


def torch_extension(monkeypatch: pytest.MonkeyPatch, site: Site, *, agrees: bool = True) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    class PyTorchUtilsLogic:
        def installTorch(self, **arguments: Any) -> object:
            calls.append(arguments)
            if agrees:
                site.versions["torch"] = "2.13.0+cpu"
            return object() if agrees else None

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return calls


@pytest.mark.parametrize(
    ("found", "requirement", "missing"),
    [("2.13.0+cpu", "torch>=2.6", False), ("2.5.1", "torch>=2.6", True), ("2.6", "torch>=2.6", False)],
)
def test_versions_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, found: str, requirement: str, missing: bool
) -> None:
    Site(monkeypatch, torch=found)
    assert bool(missingRequirements([requirement])) is missing


def test_range_of_torch_is_the_one_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"torch{dependencies.TORCH_RANGE}"' in text


def test_list_is_the_core_of_the_package_without_what_slicer_has() -> None:
    core = re.search(r"^dependencies = \[(.*)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert core is not None
    names = {re.match(r"\w+", name)[0] for name in re.findall(r'"([^"]+)"', core[1])}
    ours = {re.match(r"\w+", requirement)[0] for requirement in dependencies.readRequirements()}
    assert ours == names - {"numpy", "torch", "SimpleITK"}


def test_torch_comes_through_its_extension_and_the_rest_after_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    calls = torch_extension(monkeypatch, site)
    asked = questions(monkeypatch, True)
    installMissing()
    assert calls == [{"askConfirmation": True, "torchVersionRequirement": ">=2.6"}]
    assert len(asked) == 1
    assert "safetensors>=0.4" in asked[0]
    assert all(command.startswith("--no-deps ") for command in site.commands)
    assert not any("torch" in command for command in site.commands)


def slicer_module(monkeypatch: pytest.MonkeyPatch, name: str, pip_ensure: Any) -> None:
    """Make a module of Slicer exist that has `pip_ensure`."""
    module = types.ModuleType(f"slicer.{name}")
    module.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(slicer, name, module, raising=False)


@pytest.mark.parametrize("name", ["pydeps", "packaging"])
def test_newer_slicer_installs_with_its_own_function(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    site = Site(monkeypatch, torch="2.13")
    wanted: list[str] = []

    def pip_ensure(requirements: list[Any], requester: str) -> None:
        assert all(one.marker is None and one.specifier for one in requirements)  # it looks at these of each
        wanted.extend(str(one) for one in requirements)
        site.versions.update(safetensors="0.5", scipy="1.16")

    slicer_module(monkeypatch, name, pip_ensure)
    installMissing()
    assert wanted == dependencies.readRequirements()
    assert site.commands == []


PIP_FAILED = subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", "install", "..."])


def raising(error: Exception) -> Callable[..., None]:
    def function(*_: Any, **__: Any) -> None:
        raise error

    return function


class TestPipFails:
    """What happened, and what can be done; Slicer's functions raise what nobody catches."""

    def test_in_the_folder_of_wheels(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        Site(monkeypatch, torch="2.13")
        monkeypatch.setattr(slicer.util, "pip_install", raising(PIP_FAILED))
        with pytest.raises(InstallError, match=r"pip could not install safetensors>=0.4 \(exit status 1\)") as caught:
            installFromFolder(tmp_path)
        assert "wheels for Python" in caught.value.hint
        assert caught.value.code == "install"

    def test_below_slicer_5_12(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Site(monkeypatch, torch="2.13")
        questions(monkeypatch, True)
        monkeypatch.setattr(slicer.util, "pip_install", raising(PIP_FAILED))
        with pytest.raises(InstallError, match="could not install safetensors") as caught:
            installMissing()
        assert "connection to the internet" in caught.value.hint

    @pytest.mark.parametrize(
        ("error", "said"),
        [(PIP_FAILED, "exit status 1"), (RuntimeError("User declined package installation"), "User declined")],
    )
    def test_in_newer_slicer(self, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
        Site(monkeypatch, torch="2.13")
        slicer_module(monkeypatch, "pydeps", raising(error))
        with pytest.raises(InstallError, match=said):
            installMissing()

    def test_in_the_extension_pytorch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch_extension(monkeypatch, Site(monkeypatch))
        monkeypatch.setattr(sys.modules["PyTorchUtils"].PyTorchUtilsLogic, "installTorch", raising(PIP_FAILED))
        with pytest.raises(InstallError, match="could not install PyTorch"):
            installMissing()


def test_no_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, torch="2.13")
    questions(monkeypatch, False)
    with pytest.raises(InstallError, match="not installed"):
        installMissing()
    assert site.commands == []


def test_package_that_is_not_there_after_the_install_asks_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    Site(monkeypatch, torch="2.13")
    questions(monkeypatch, True)
    monkeypatch.setattr(slicer.util, "pip_install", lambda _: None)
    with pytest.raises(InstallError, match="still missing: safetensors") as caught:
        installMissing()
    assert caught.value.hint.startswith("Restart Slicer")


def test_without_the_extension_pytorch_the_user_is_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Site(monkeypatch, safetensors="1.0", scipy="2.0")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(InstallError) as caught:
        installMissing()
    assert "Extensions Manager" in caught.value.hint


def test_folder_of_wheels_needs_no_internet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = Site(monkeypatch)
    installFromFolder(tmp_path)
    assert len(site.commands) == 3
    assert all(f'--no-index --find-links "{tmp_path}"' in command for command in site.commands)


def test_packages_that_pip_did_not_bring_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Site(monkeypatch)
    monkeypatch.setattr(slicer.util, "pip_install", lambda _: None)
    with pytest.raises(InstallError, match=re.escape("torch>=2.6")):
        installFromFolder(tmp_path)
