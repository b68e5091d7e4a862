"""Slicer's own Python files in place of the stand-ins: `DSM_SLICER_SOURCE=<checkout of Slicer>`.

Nothing of Slicer is copied: its folders are searched before those of the `slicer-core` wheel. What its files expect of
the application, and the host has not, is in the other files of this folder, one idea each (docs/adr/0032).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

import slicer

_VARIABLE = "DSM_SLICER_SOURCE"
_PYTHON = Path("Base", "Python", "slicer")
# `SegmentEditorEffects`; `DICOMLib`; `DICOMSegmentationPlugin`; `SampleData`.
_FOLDERS = (
    "Modules/Loadable/Segmentations/EditorEffects/Python",
    "Modules/Scripted",
    "Modules/Scripted/DICOMPlugins",
    "Modules/Scripted/SampleData",
)
# Of these the wheel has its own, or the host a stand-in. In the order in which they need each other.
_MODULES = ("i18n", "util", "packaging", "ScriptedLoadableModule", "parameterNodeWrapper")


def _checkout() -> Path | None:
    named = os.environ.get(_VARIABLE)
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not (path / _PYTHON / "util.py").is_file():
        missing = path / _PYTHON / "util.py"
        raise FileNotFoundError(f"{_VARIABLE}={named} is no checkout of Slicer: {missing} is missing.")
    return path


CHECKOUT = _checkout()


def version() -> str:
    """Return the version of the checkout, as `5.13`; empty without one."""
    if CHECKOUT is None:
        return ""
    text = (CHECKOUT / "CMakeLists.txt").read_text(encoding="utf-8")
    return ".".join(re.findall(r'set\(Slicer_VERSION_(?:MAJOR|MINOR) "(\d+)"\)', text))


def has(path: str) -> bool:
    """Return whether the tests run on a checkout that has this file."""
    return CHECKOUT is not None and (CHECKOUT / path).is_file()


def publish() -> None:
    """Make `import slicer.<name>`, `SegmentEditorEffects`, `DICOMLib` and the others find the files of the checkout.

    Raises:
        ImportError: If one of the files cannot be loaded here.
    """
    import absent_packages
    import absent_widgets
    import kit_names

    assert CHECKOUT is not None
    slicer.__path__.insert(0, str(CHECKOUT / _PYTHON))
    sys.path.extend(str(CHECKOUT / folder) for folder in _FOLDERS)
    absent_packages.publish()
    kit_names.publish()
    absent_widgets.publish(CHECKOUT / _PYTHON / "parameterNodeWrapper")
    for name in _MODULES:
        sys.modules.pop(f"slicer.{name}", None)
        if (CHECKOUT / _PYTHON / f"{name}.py").is_file() or (CHECKOUT / _PYTHON / name).is_dir():
            setattr(slicer, name, importlib.import_module(f"slicer.{name}"))
