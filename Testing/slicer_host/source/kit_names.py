"""Names that Slicer gives to its compiled modules, for what the `slicer-core` wheel has of them."""

from __future__ import annotations

import importlib
import sys

# Slicer's name: the wheel's.
_KITS = {"vtkITK": "slicer_core.vtkITK", "vtkSegmentationCorePython": "slicer_core.vtkSegmentationCore"}


def publish() -> None:
    """Make them importable."""
    for name, of_wheel in _KITS.items():
        sys.modules[name] = importlib.import_module(of_wheel)
