"""Checkpoint of a run: written whole, and read back when the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from dsm.io.atomic import atomic_output

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"


class Stateful(Protocol):
    """A network, an average of weights or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take a state."""


def save_checkpoint(run: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    """Replace the checkpoint of a run; a kill leaves the old or the new one.

    Raises:
        OutputError: If it cannot be written.
    """
    with atomic_output(run / CHECKPOINT) as part:
        torch.save({"step": step, **{name: one.state_dict() for name, one in parts.items()}}, part)


def resume(run: Path, parts: Mapping[str, Stateful]) -> int:
    """Load the checkpoint of a run into its parts and return its step; 0 where there is none."""
    path = run / CHECKPOINT
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    for name, one in parts.items():
        one.load_state_dict(state[name])
    logger.info("resumed at step %d", state["step"])
    return int(state["step"])
