"""Options of a prompt run: said and checked here, for the engine, the worker, the server, the panel and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dsm.core.boxes import Box
from dsm.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """Segmentation options of a prompt.

    Args:
        threshold: Probability above which a voxel is inside, between 0 and 1.
        postprocess: Remove small islands: organs keep their largest part, tumors all parts of 0.1 ml or more.
        fast: Leave out the diffusion prompts of tumors.
        probabilities: Also return a map of probabilities for each prompt.
        uncertainty: Also return a map of uncertainty for each prompt.
        guess: Let the network guess at names that it has not learned; by default they have no mask.
        region: Voxels in which masks are wanted; None for the whole volume.

    Raises:
        InputError: Code `"input.threshold"`, if the threshold does not lie between 0 and 1.
    """

    threshold: float = 0.5
    postprocess: bool = True
    fast: bool = False
    probabilities: bool = False
    uncertainty: bool = False
    guess: bool = False
    region: Box | None = None

    def __post_init__(self) -> None:
        check_threshold(self.threshold)

    @classmethod
    def from_form(cls, values: Mapping[str, Any]) -> SegmentOptions:
        """Read the options among the values of a form; keys that are none are ignored, missing ones take their default.

        Args:
            values: As a browser or a scene keeps them: a whole number may stand for a fraction.
        """
        kinds = {field.name: type(field.default) for field in fields(cls) if isinstance(field.default, (bool, float))}
        known: dict[str, Any] = {name: kind(values[name]) for name, kind in kinds.items() if name in values}
        return cls(**known)


def check_threshold(threshold: float) -> None:
    """Check that `threshold` is a probability that can tell inside from outside.

    Raises:
        InputError: Code `"input.threshold"`, if it does not lie between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise InputError(
            f"The threshold is {threshold}; it must lie between 0 and 1.", code="input.threshold", hint="0.5 is usual."
        )
