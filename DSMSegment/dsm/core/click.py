"""A click: one point in the patient, inside or outside of the object to segment."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsm.errors import InputError


@dataclass(frozen=True, slots=True)
class Click:
    """A point in the patient.

    Args:
        ras_mm: Where: right, anterior, superior, in millimetres.
        inside: Whether the point belongs to the structure; False says that it does not.

    Raises:
        InputError: If `ras_mm` is not three finite numbers.

    Example:
        >>> Click((12.5, -30, 88))
        Click(ras_mm=(12.5, -30.0, 88.0), inside=True)
    """

    ras_mm: tuple[float, float, float]
    inside: bool = True

    def __post_init__(self) -> None:
        try:
            r, a, s = (float(value) for value in self.ras_mm)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The click {self.ras_mm!r} is not three numbers.",
                code="click",
                hint="Give right, anterior, superior in mm.",
            ) from error
        if not all(math.isfinite(value) for value in (r, a, s)):
            raise InputError(f"The click {self.ras_mm!r} is not finite.", code="click", hint="Click again.")
        object.__setattr__(self, "ras_mm", (r, a, s))
