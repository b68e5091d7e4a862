"""The fastest precision of a model on this processor: measured once, then remembered in the user's cache."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dsm.core.precision import PRECISIONS
from dsm.core.processor import processor_name
from dsm.core.user_folders import user_cache_dir
from dsm.errors import OutputError
from dsm.inference.estimate import seconds_per_megavoxel
from dsm.inference.precision import autocast_for, is_available
from dsm.io.atomic import atomic_output
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet
from dsm.progress import ProgressCallback

#: Names the precision that `"auto"` means, and nothing is measured.
PRECISION_VARIABLE = "DSM_PRECISION"

# Rounding is not worth less than this, which is also what two measurements of the same thing differ by.
_WORTHWHILE = 0.95

_log = logging.getLogger(__name__)


def remembered_precision(digest: str, device: torch.device) -> str | None:
    """Return the precision that `"auto"` means without measuring; None where it must be measured.

    Args:
        digest: Of the model.
        device: Where it computes.
    """
    available = [one for one in PRECISIONS if is_available(one, device)]
    if len(available) == 1:
        return available[0]
    if (named := os.environ.get(PRECISION_VARIABLE, "")) in available:
        return named
    speeds = _read().get(_key(digest, device))
    if isinstance(speeds, dict) and speeds.keys() == set(available) and all(map(_is_number, speeds.values())):
        return fastest(speeds)
    return None


def measured_precision(
    net: DSMNet, int8_net: DSMNet | None, config: ModelConfig, *, digest: str, progress: ProgressCallback
) -> str:
    """Encode two small blocks in each precision that the device has, and remember the times.

    Args:
        net: In float32, on its device.
        int8_net: The same in 8-bit integers; None where the device does not compute in them.
        config: Of both.
        digest: Of the model.
        progress: Stage `"measure"`; may raise `JobCancelled`.

    Returns:
        The fastest precision.
    """
    device = net.organ_text.device
    speeds: dict[str, float] = {}
    for precision in (one for one in PRECISIONS if is_available(one, device)):
        measured = int8_net if precision == "int8" and int8_net is not None else net
        with autocast_for(precision, device):
            speeds[precision] = seconds_per_megavoxel(measured, config, progress=progress)
    _remember(_key(digest, device), speeds)
    _log.info("Seconds a megavoxel on %s: %s", processor_name(), speeds)
    return fastest(speeds)


def fastest(speeds: Mapping[str, float]) -> str:
    """Return the precision with the least time; float32 unless another takes 5 % less.

    Args:
        speeds: Precision → seconds a megavoxel.
    """
    best = min(speeds, key=lambda one: speeds[one])
    return best if speeds[best] < _WORTHWHILE * speeds["float32"] else "float32"


def _key(digest: str, device: torch.device) -> str:
    """Return the key of an entry: all that the speed depends on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return f"{name}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}, model {digest[:16]}"


def _file() -> Path:
    return user_cache_dir() / "precision.json"


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, speeds: Mapping[str, float]) -> None:
    """Add an entry; a cache that cannot be written is measured again next time."""
    text = json.dumps({**_read(), key: {name: round(speed, 4) for name, speed in speeds.items()}}, indent=1)
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(_file()) as part:
            part.write_text(text + "\n", encoding="utf-8")
    except (OSError, OutputError) as error:
        _log.warning("The speeds of the precisions were not kept in %s: %s", _file(), error)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0
