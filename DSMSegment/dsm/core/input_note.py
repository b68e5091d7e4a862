"""Assumptions made and parts left out while an image was read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputNote:
    """One assumption about an image, or one part of it that was left out.

    Args:
        code: Stable identifier for programs, e.g. `"modality.guessed"` or `"slices.left_out"`.
        text: One or two sentences for the user: what was assumed, and why.
    """

    code: str
    text: str
