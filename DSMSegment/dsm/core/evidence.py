"""Evidence of a network for a structure in a scan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """Output of a network for one structure in one scan.

    Args:
        presence_logit: Of the presence head.
        mean_probability: Mean probability inside the mask, 0 to 1.
        volume_ml: Volume of the mask.
    """

    presence_logit: float
    mean_probability: float
    volume_ml: float
