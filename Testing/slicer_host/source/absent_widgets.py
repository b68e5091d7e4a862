"""Classes of widgets that `slicer.parameterNodeWrapper` names and no form of ours has.

It compares the class of a widget with them, and that is all they are for: none can be made.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ctk
import slicer

_NAMED = re.compile(r"\b(ctk|slicer)\.((?:ctk|qMRML|qSlicer)[A-Z]\w*)")


class _AbsentWidget:
    def __init__(self, *_: Any) -> None:
        raise NotImplementedError(f"The host has no {type(self).__name__}.")


def publish(folder: Path) -> None:
    """Add to `ctk` and `slicer` the classes that the files of a folder name and that do not exist."""
    modules = {"ctk": ctk, "slicer": slicer}
    for path in folder.glob("*.py"):
        for module, name in _NAMED.findall(path.read_text(encoding="utf-8")):
            if not hasattr(modules[module], name):
                setattr(modules[module], name, type(name, (_AbsentWidget,), {}))
