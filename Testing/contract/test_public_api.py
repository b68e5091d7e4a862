"""The names that `import dsm` offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import dsm

SOURCE = Path(dsm.__file__)
EXPORTED = [name for name in dsm.__all__ if name != "__version__"]


def imported_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.name: str(node.module) for node in block.body for alias in node.names}


def test_type_checkers_see_the_same_names() -> None:
    assert sorted(imported_for_type_checkers()) == sorted(EXPORTED)
    assert imported_for_type_checkers() == dsm._MODULES
    assert dir(dsm) == sorted(dsm.__all__)


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_names_exist_and_are_documented(name: str) -> None:
    exported = getattr(dsm, name)
    assert exported.__name__ == name
    # A dataclass without a docstring gets its signature for one.
    assert inspect.getdoc(exported)
    assert not inspect.getdoc(exported).startswith(f"{name}(")


@pytest.mark.parametrize("name", EXPORTED)
def test_public_members_of_exported_classes_are_documented(name: str) -> None:
    exported = getattr(dsm, name)
    if inspect.isclass(exported):
        members = [member for member in vars(exported) if not member.startswith("_")]
        callables = [m for m in members if callable(getattr(exported, m)) or isinstance(vars(exported)[m], property)]
        assert [m for m in callables if not inspect.getdoc(getattr(exported, m))] == []


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        dsm.Segmentor  # noqa: B018


def test_import_and_functions_without_the_network_load_no_torch() -> None:
    code = (
        "import sys, dsm\n"
        "light = [m for m in ('torch', 'numpy', 'SimpleITK') if m in sys.modules]\n"
        "dsm.Volume, dsm.read_volume, dsm.write_seg_nrrd, dsm.load_vocabulary().find('liver'), dsm.list_models()\n"
        "print(light, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE.parents[1]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "[] False", done.stderr
