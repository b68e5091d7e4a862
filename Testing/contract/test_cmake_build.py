"""Configure, build and install with CMake, Slicer's macros replaced by stand-ins that copy what they are told to.

The stand-ins follow `SlicerMacroBuildScriptedModule.cmake` and `UseSlicer.cmake.in` of Slicer 5.10 and 5.13 in where
files go. They compile no Python, make no description of the extension and no package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_INS = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake)
"""
USE_SLICER = """
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.13/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    get_filename_component(folder ${file} DIRECTORY)
    file(COPY ${file} DESTINATION ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${folder})
    install(FILES ${file} DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${folder}
      COMPONENT RuntimeLibraries)
  endforeach()
endmacro()
macro(slicer_add_python_unittest)
endmacro()
"""
FIND = """
from dsm.models.store import find_model, verify_model
entry = verify_model(find_model("dsm-small"))
print(entry.path.resolve())
"""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The build tree and the tree that the package has."""
    if any(shutil.which(tool) is None for tool in ("cmake", "cc", "c++", "make")):
        pytest.skip("CMake, a compiler or make is not installed")
    place = tmp_path_factory.mktemp("cmake")
    slicer, build, package = place / "slicer", place / "build", place / "package"
    slicer.mkdir()
    (slicer / "SlicerConfig.cmake").write_text(STAND_INS)
    (slicer / "UseSlicer.cmake").write_text(USE_SLICER)
    (slicer / "Nothing.cmake").write_text("")
    cmake(f"-S{ROOT}", f"-B{build}", f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=ON")
    cmake("--build", str(build))
    cmake("--install", str(build), "--prefix", str(package), "--component", "RuntimeLibraries")
    return build, package


def cmake(*arguments: str) -> None:
    done = subprocess.run(
        [shutil.which("cmake") or "cmake", *arguments], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("which", [0, 1], ids=["build tree", "package"])
def test_default_model_is_found_in_build_and_install_trees(trees: tuple[Path, Path], which: int) -> None:
    modules = trees[which] / "lib" / "Slicer-5.13" / "qt-scripted-modules"
    assert (modules / "DSMSegment.py").is_file()
    environment = {**os.environ, "PYTHONPATH": str(modules), "DSM_MODEL_DIR": ""}
    command = [sys.executable, "-c", FIND]
    done = subprocess.run(command, env=environment, cwd=trees[which], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == (modules.parent / "model_weights" / "dsm-small").resolve()
    assert not (modules.parent / "model_weights" / "dsm-tiny").exists(), "random weights are for tests"


def test_replaced_model_is_copied_by_the_next_build(trees: tuple[Path, Path]) -> None:
    makefile = (trees[0] / "CMakeFiles" / "Makefile.cmake").read_text()
    assert "model_weights/dsm-small/manifest.json" in makefile
