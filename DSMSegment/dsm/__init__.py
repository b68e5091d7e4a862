"""DSM: text-prompted segmentation of CT and MR volumes. Encode the volume once, prompt it as often as you like.

Importing this package loads neither torch nor NumPy; `Segmenter` and `Volume` are loaded on first use (PEP 562).
Research use, not a medical device.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from dsm._version import __version__

__all__ = ["Segmenter", "Volume", "__version__"]

_LAZY = {"Segmenter": "dsm.inference.segmenter", "Volume": "dsm.core.volume"}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
