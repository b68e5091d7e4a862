"""One progress bar for all stages of a job, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

#: Share of each stage of a segmentation on a CPU in percent; encoding takes most of the time, however many prompts
#: follow.
SEGMENT_STAGES = {"load": 10, "measure": 5, "encode": 65, "text": 2, "decode": 13, "write": 5}


class ProgressBar:
    """A `dsm.progress.ProgressCallback` that draws a bar; silent without a terminal or tqdm.

    Stages may come in several parts (load the model, load the image): the bar never goes back.

    Args:
        percent: Share of each stage, in the order in which they come; by default those of a segmentation.
    """

    def __init__(self, percent: Mapping[str, int] = SEGMENT_STAGES) -> None:
        self._shares = percent
        self._bar: Any = None
        self._percent = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return self
            self._bar = tqdm(
                total=100, leave=False, file=sys.stderr, bar_format="{desc:>7} {percentage:3.0f}%|{bar}| {elapsed}"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also on an error: its one line must not land behind the bar.
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw that `done` of `total` steps of `stage` are finished."""
        percent = self.percent_at(stage, done, total)
        if self._bar is not None:
            # Drawn at every step: there are some hundred, and the next may be seconds away.
            self._bar.n = percent
            self._bar.set_description_str(stage)
        self._percent = percent

    def percent_at(self, stage: str, done: int, total: int) -> float:
        """Return where the bar stands after this step; not before where it is."""
        names = list(self._shares)
        before = sum(self._shares[name] for name in names[: names.index(stage)])
        return max(self._percent, before + self._shares[stage] * done / max(1, total))
