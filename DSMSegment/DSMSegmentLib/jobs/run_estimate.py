"""Estimated time of the first run on a volume, from earlier runs or a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.memory_ladder import Step, predicted_bytes
from dsm.models.config import ModelConfig

# Of models that are not on this computer; any would do, as long as it stays the same.
_USUAL_SPACING_MM = 1.5
_MEGAVOXEL = 1e6


@dataclass(frozen=True, slots=True)
class Engine:
    """Model and device on which the cost of an encoding depends, beside the volume.

    Args:
        key: Stands for model and device, or for a server.
        config: Of the model; None where only the server knows it. A server encodes whole volumes.
    """

    key: str
    config: ModelConfig | None = None


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Predicted one-time cost of encoding a volume; later prompts take a fraction of it.

    Args:
        seconds: On the wall, if the machine is as busy as it was in the run that this was learned from.
        memoryBytes: Most memory at one time, beside the volume; 0 where it is a server's.
    """

    seconds: float
    memoryBytes: int


class RunEstimates:
    """Encoding speeds learned from runs: the cost is linear in the voxels of the working grid.

    Args:
        known: Seconds a million voxels, by `Engine.key`.
        keep: Called with all that is known when something was learned.
    """

    def __init__(
        self, known: Mapping[str, float] | None = None, keep: Callable[[dict[str, float]], None] | None = None
    ) -> None:
        self._known = dict(known or {})
        self._measured: dict[str, float] = {}
        self._keep = keep

    def knows(self, engine: Engine) -> bool:
        """Return whether a run of this engine was recorded, or its speed was measured."""
        return engine.key in self._known or engine.key in self._measured

    def of(self, volume: Volume, engine: Engine, region: Box | None = None) -> RunEstimate | None:
        """Return the estimate for a volume; None for an unknown engine. Takes tens of milliseconds.

        Args:
            volume: Volume that will be read.
            engine: Engine that will read it.
            region: Voxels in which masks are wanted; None for all.
        """
        speed = self._known.get(engine.key, self._measured.get(engine.key))
        if speed is None:
            return None
        shape = _workingShape(volume, engine, region)
        config = engine.config
        memory = predicted_bytes(config, shape, Step(shape[2]), halo=0) if config else 0  # one pass has no margins
        return RunEstimate(speed * math.prod(shape) / _MEGAVOXEL, int(memory))

    def learn(self, engine: Engine, speed: float) -> None:
        """Record the result of `speedOf` for a run; the newest one counts."""
        self._known[engine.key] = speed
        if self._keep is not None:
            self._keep(dict(self._known))

    def measured(self, engine: Engine, speed: float) -> None:
        """Record a measured speed, valid until a run is recorded; it is not stored.

        A run has more in it: the cropping, the resampling, and the memory of the whole volume.
        """
        self._measured[engine.key] = speed


def speedOf(volume: Volume, engine: Engine, seconds: float, region: Box | None = None) -> float:
    """Return the seconds per million working voxels of an encoding that took `seconds`."""
    return seconds * _MEGAVOXEL / math.prod(_workingShape(volume, engine, region))


def _workingShape(volume: Volume, engine: Engine, region: Box | None) -> tuple[int, int, int]:
    """Return the voxels that the network is given along each axis."""
    from dsm.inference.body_grid import make_working_grid  # late: SciPy would make the start of Slicer slower

    if engine.config is None:
        _, grid = make_working_grid(volume, spacing_mm=_USUAL_SPACING_MM)
    else:
        _, grid = make_working_grid(volume, spacing_mm=engine.config.spacing_mm, region=region)
    return grid.padded_shape
