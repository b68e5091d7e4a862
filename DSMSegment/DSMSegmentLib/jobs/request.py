"""What one run asks of the backend."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsm.core.options import SegmentOptions


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """Prompts for one volume, and how to segment them.

    Args:
        prompts: One text a prompt, each for one structure.
        options: How they are segmented. Of a region, a backend may read only what is near it.
    """

    prompts: tuple[str, ...]
    options: SegmentOptions = field(default_factory=SegmentOptions)
