"""Cancellation points inside a long forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from dsm.progress import ProgressCallback


class EncodeSteps:
    """Count the steps of an encoding and call the progress callback at each, which may cancel.

    How often a network calls its layers is not known before it ran, so the last step is kept for `finish`.

    Args:
        progress: May raise `JobCancelled`.
        total: Expected steps.
    """

    def __init__(self, progress: ProgressCallback, total: int) -> None:
        self._progress = progress
        self._total = max(1, total)
        self._done = 0
        progress("encode", 0, self._total)

    def tick(self) -> None:
        """Advance by one step."""
        self._done = min(self._done + 1, self._total - 1)
        self._progress("encode", self._done, self._total)

    def finish(self) -> None:
        """Report the last step."""
        self._progress("encode", self._total, self._total)


def leaf_modules(net: nn.Module) -> list[nn.Module]:
    """Return the modules of `net` without children: the layers."""
    return [module for module in net.modules() if not any(True for _ in module.children())]


@contextmanager
def cancel_points(net: nn.Module, steps: EncodeSteps) -> Iterator[None]:
    """Tick before each layer of `net` inside the `with` block.

    One pass over a body takes seconds; a layer takes some tenths of one. Hooks leave the network itself free of the
    matter, and are gone afterwards even when the callback raised.
    """

    def tick(_module: nn.Module, _inputs: Any) -> None:
        steps.tick()

    handles = [module.register_forward_pre_hook(tick) for module in leaf_modules(net)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
