"""Packages that come with Slicer and that its files import for what nobody here uses."""

from __future__ import annotations

import importlib.util
import sys
import types

# DICOMweb, in `DICOMLib.DICOMProcesses` of 5.10, where annotations name the class.
_NAMES = {"dicomweb_client": ("DICOMwebClient",)}


def publish() -> None:
    """Let the imports pass where the packages are not installed."""
    for name, classes in _NAMES.items():
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update({each: type(each, (), {}) for each in classes})
