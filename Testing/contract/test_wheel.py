"""The wheel, installed without the source tree, segments a volume with the default model."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
ROOT = Path(__file__).parents[2]
MAX_WHEEL_BYTES = 30 << 20

pytestmark = pytest.mark.xdist_group("wheel")  # in one test process, which makes its fixtures once


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of a new environment, which has the wheel and, for the rest, the packages of this one."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    paths = {"base": str(place), "platbase": str(place)}
    site, scripts = (Path(sysconfig.get_path(name, vars=paths)) for name in ("purelib", "scripts"))
    python = next(scripts.glob("python*"))
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel))
    (site / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def run(*command: str, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DSM_MODEL_DIR")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_has_the_default_model_and_its_licence(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        metadata = packed.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert {Path(name).parent.name for name in names if name.endswith("model.safetensors")} == {"dsm-small"}
    assert "License-Expression: Apache-2.0 AND CC-BY-NC-SA-4.0" in metadata
    assert any("licenses" in name and name.endswith("MODEL_CARD.md") for name in names)
    assert {f"dsm/text/{name}" for name in ("vocabulary.json", "foreign_names.tsv", "text_bank.safetensors")} <= set(
        names
    )


def test_wheel_and_extension_include_py_typed(wheel: Path) -> None:
    packages = sorted(path.parent.name for path in (ROOT / "DSMSegment").glob("*/__init__.py"))
    with zipfile.ZipFile(wheel) as packed:
        assert {f"{package}/py.typed" for package in packages} <= set(packed.namelist())
    resources = (ROOT / "DSMSegment" / "CMakeLists.txt").read_text(encoding="utf-8").partition("PYTHON_RESOURCES")[2]
    assert [package for package in packages if f" {package}/py.typed\n" not in resources] == []


def test_installed_program_segments(installed: Path, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder = Path(run(str(installed / "dsm"), "models", "path", "dsm-small", cwd=tmp_path).strip())
    assert folder.is_relative_to(installed.parent), "not the model of the source tree"
    assert "ok" in run(str(installed / "dsm"), "models", "verify", "dsm-small", cwd=tmp_path)
    voxels = np.full((32, 48, 48), -1000, np.int16)
    voxels[4:28, 8:40, 8:40] = 60
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    run(str(installed / "dsm"), "segment", "ct.nii.gz", "-p", "liver", "-o", "out.seg.nrrd", cwd=tmp_path)
    assert (tmp_path / "out.seg.nrrd").stat().st_size > 0
