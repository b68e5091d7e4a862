"""Where a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobProgress:
    """`done` of `total` steps of a stage are finished.

    Args:
        stage: `"load"`, `"encode"`, `"text"`, `"decode"` or `"write"`.
        done: Finished steps.
        total: All steps of this stage.
        etaS: Estimated seconds until the stage ends; None while unknown.
        note: What the worker announces, e.g. that it goes on with less memory.
    """

    stage: str
    done: int
    total: int
    etaS: float | None = None
    note: str = ""
