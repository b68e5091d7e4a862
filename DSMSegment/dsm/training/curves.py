"""Curves of a run for TensorBoard (`tensorboard --logdir runs`), where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def curves(run: Path, values: Mapping[str, Any]) -> None:
    """Add the values of one log line; a resumed run continues in the same folder.

    Args:
        run: Folder of the run.
        values: `step`, and numbers or dictionaries of numbers.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return
    writer = _writer(run)
    for name, value in values.items():
        if isinstance(value, Mapping):
            for part, number in value.items():
                writer.add_scalar(f"{name}/{part}", number, values["step"])
        elif isinstance(value, int | float) and name != "step":
            writer.add_scalar(f"training/{name}", value, values["step"])
    writer.flush()


@lru_cache(maxsize=1)
def _writer(run: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # it takes a second that few commands need

    return SummaryWriter(str(run / "curves"))
