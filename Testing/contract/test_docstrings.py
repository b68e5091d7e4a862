"""Docstrings are noun phrases or imperatives, as in MONAI, TorchIO and Slicer, not fragments of a question."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("DSMSegment", "Testing", "benchmarks", "examples", "scripts")
FRAGMENTS = ("What", "Whether", "Where", "How", "Which", "Why", "Who", "When")


def fragments(source: str) -> Iterator[str]:
    """The first lines of docstrings that begin with a question word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first_line = (ast.get_docstring(node) or "").partition("\n")[0]
            if first_line.partition(" ")[0].rstrip(".,:") in FRAGMENTS:
                yield first_line


def test_no_docstring_begins_with_a_question_word() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := list(fragments(path.read_text(encoding="utf-8"))))
    }
    assert not found, "write a noun phrase or an imperative, such as 'Return whether ...'"


def test_fragments_are_detected() -> None:
    assert list(fragments('def f():\n    """Whether it is.\n\n    More.\n    """')) == ["Whether it is."]
    assert list(fragments('"""Whatever it is."""\nclass A:\n    """Return whether it is."""')) == []
