"""Version ranges repeated elsewhere agree with pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pip
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
RESOURCES = ROOT / "DSMSegment" / "Resources"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
BUILT_BY_SLICER = {"SimpleITK"}  # without metadata that pip would know
SLICERS = ("5.10", "5.12")


def requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def test_slicer_requirements_match_the_package() -> None:
    ours = {one.name: one for one in requirements(RESOURCES / "requirements.txt")}
    assert ours == {name: one for name, one in CORE.items() if name not in BUILT_BY_SLICER}


def test_free_text_requirements_match_the_extra() -> None:
    ours = {one.name.replace("_", "-") for one in requirements(RESOURCES / "requirements-free-text.txt")}
    assert ours == {*PROJECT["optional-dependencies"]["text"], "transformers"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("constraints*.txt")), ids=lambda path: path.name)
def test_pinned_versions_are_in_the_ranges(path: Path) -> None:
    pins = {one.name: one for one in requirements(path)}
    for name in pins.keys() & CORE.keys():
        (pin,) = pins[name].specifier
        assert pin.operator == "=="
        assert pin.version in CORE[name].specifier, name
    assert pins.keys() & CORE.keys()


@pytest.mark.parametrize("slicer", SLICERS)
def test_constraints_of_each_slicer_are_used_by_a_script(slicer: str) -> None:
    assert {one.name for one in requirements(ROOT / f"constraints-slicer-{slicer}.txt")} == {"numpy", "scipy"}
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.sh"))
    assert re.search(rf'(\$\{{2:-|"\$venv" ){re.escape(slicer)}\b', scripts)


class TestInstallOfTorch:
    """scripts/install_torch.py, with wheels that the test makes and no index."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir()
        return folder

    def add(self, folder: Path, version: str, *needs: str) -> None:
        info = f"torch-{version}.dist-info"
        with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
            lines = [
                "Metadata-Version: 2.1",
                "Name: torch",
                f"Version: {version}",
                *(f"Requires-Dist: {one}" for one in needs),
            ]
            wheel.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr("torch/__init__.py", "")

    @pytest.fixture
    def python(self, tmp_path: Path) -> Path:
        """An empty environment with the pip of this one: installing another takes seconds."""
        venv.create(tmp_path / "venv", with_pip=False)
        (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
        (site / "pip").symlink_to(Path(pip.__file__).parent)
        return tmp_path / "venv" / "bin" / "python"

    def install(self, python: Path, index: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, ROOT / "scripts" / "install_torch.py"],
            env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": "/dev/null", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @pytest.mark.skipif(sys.platform == "win32", reason="the folders of the environment differ")
    def test_cuda_build_is_refused_and_cpu_build_installed(self, python: Path, index: Path) -> None:
        def has_torch() -> bool:
            return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0

        self.add(
            index, "2.13.0", "filelock", 'nvidia-cublas; platform_system != ""', "cuda-bindings; python_version<'3'"
        )
        refused = self.install(python, index)
        assert refused.returncode == 1
        assert "torch 2.13.0, which is built for CUDA and brings nvidia-cublas:" in refused.stderr
        assert "DSM_CUDA=1" in refused.stderr
        assert not has_torch()

        self.add(index, "2.13.0+cpu", 'nvidia-cublas; platform_system == "none"')
        assert self.install(python, index).returncode == 0, "pip prefers the local version"
        assert has_torch()
        assert self.install(python, index / "not there").returncode == 0, "nothing to do"
