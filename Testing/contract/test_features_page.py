"""Every test that features.md and extension-checklist.md name exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "contributing" / name for name in ("features.md", "extension-checklist.md")]
NAMED = re.findall(
    r"`(?:Testing/)?((?:slicer|bench|unit|worker|web|contract)/[\w/]+\.py)((?:::\w+)*)`",
    "".join(page.read_text(encoding="utf-8") for page in PAGES),
)


@pytest.mark.parametrize(("file", "names"), NAMED, ids=lambda value: value)
def test_named_test_exists(file: str, names: str) -> None:
    scope: list[ast.stmt] = ast.parse((ROOT / "Testing" / file).read_text(encoding="utf-8")).body
    for name in names.split("::")[1:]:
        found = [node for node in scope if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name]
        assert found, f"{file} has no {name}"
        scope = found[0].body


def test_page_names_at_least_45_tests() -> None:
    assert len(NAMED) > 45
