"""CPU seconds and wall seconds of named stages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dsm.core.memory import peak_memory_bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of an operation: CPU seconds of all cores, and wall seconds."""

    cpu_s: float
    wall_s: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)

    def __mul__(self, factor: float) -> Cost:
        return Cost(factor * self.cpu_s, factor * self.wall_s)


class Stopwatch:
    """Adds up the cost of stages; a stage that is entered twice counts twice."""

    def __init__(self) -> None:
        self.stages: dict[str, Cost] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside the `with` block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)
        self.stages[name] = self.stages.get(name, Cost(0, 0)) + cost

    @property
    def total(self) -> Cost:
        """Sum of all stages."""
        return sum(self.stages.values(), Cost(0, 0))


def peak_rss_bytes() -> int:
    """Return the peak main memory of this process."""
    return peak_memory_bytes("cpu")
