"""JSON files that people read, too, with any file name in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsm.io.atomic import atomic_output


def json_bytes(content: Any) -> bytes:
    r"""Return JSON as indented UTF-8.

    On Linux a file name may hold bytes that are no UTF-8, which Python shows as surrogates. They are escaped, and read
    as they were.

    Example:
        >>> json_bytes(["ü", "\udcff"]).decode().split()
        ['[', '"ü",', '"\\udcff"', ']']
    """
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically.

    Raises:
        OutputError: If it cannot be written.
    """
    with atomic_output(path) as part:
        part.write_bytes(json_bytes(content))
