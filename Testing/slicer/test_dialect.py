"""The panel keeps to what PythonQt (Slicer) and PySide6 (the test host) have in common (docs/adr/0010)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "DSMSegment"
FILES = [
    MODULE / "DSMSegment.py",
    *(MODULE / "DSMSegmentLib").rglob("*.py"),
    *(MODULE / "DSMSegmentEffect").glob("*.py"),
]
# Readers of Qt properties: attributes in PythonQt, so calling them fails there. `text` and the like are missing here:
# they are functions of items in tables and trees, which are no QObjects.
PROPERTIES = {
    "isVisible",
    "isEnabled",
    "isChecked",
    "toPlainText",
    "hasFocus",
    "isActive",
    "currentText",
    "isSignalConnected",
}


def offences(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = (
            function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""
        )
        where = f"line {node.lineno}: {name}"
        if owner == "qt" and node.keywords:
            yield f"{where}: PythonQt takes no keyword arguments"
        if name in ("connect", "disconnect") and node.args and isinstance(node.args[0], ast.Constant):
            yield f"{where}: PySide6 has no connect by the text of a signature"
        if name == "connect" and node.args and isinstance(node.args[0], ast.Lambda):
            yield f"{where}: what a lambda is given differs"
        if name in PROPERTIES and not node.args:
            yield f"{where}: is an attribute in PythonQt"
        if name == "isinstance" and ast.unparse(node.args[1]).startswith("qt."):
            yield f"{where}: PythonQt has no class hierarchy"
        if name == "int" and node.args and ast.unparse(node.args[0]).startswith("qt."):
            yield f"{where}: enums of PySide6 are no numbers"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_keeps_to_the_common_dialect(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "true_property" not in text
    assert list(offences(ast.parse(text))) == []


def test_offences_are_found() -> None:
    text = "\n".join(
        [
            "b.connect('clicked()', f)",
            "b.clicked.connect(lambda x: x)",
            "qt.QPushButton(text='x')",
            "b.isVisible()",
            "isinstance(b, qt.QWidget)",
            "int(qt.Qt.Checked)",
        ]
    )
    assert len(list(offences(ast.parse(text)))) == 6
