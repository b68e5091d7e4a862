"""Files of JSON objects, one a line, which an interrupted run appends to and goes on from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file; none where there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def append_lines(path: Path, items: Iterable[DataclassInstance]) -> None:
    """Append dataclasses to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(item)) + "\n" for item in items)
