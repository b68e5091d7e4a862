"""Every test that docs/reference/features.md names exists, so that the page cannot outlive what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(
    r"`((?:slicer|bench|unit|worker|web|contract)/[\w/]+\.py)((?:::\w+)*)`",
    (ROOT / "docs" / "reference" / "features.md").read_text(encoding="utf-8"),
)


@pytest.mark.parametrize(("file", "names"), NAMED, ids=lambda value: value)
def test_named_test_exists(file: str, names: str) -> None:
    scope: list[ast.stmt] = ast.parse((ROOT / "Testing" / file).read_text(encoding="utf-8")).body
    for name in names.split("::")[1:]:
        found = [node for node in scope if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name]
        assert found, f"{file} has no {name}"
        scope = found[0].body


def test_page_names_many() -> None:
    assert len(NAMED) > 45
