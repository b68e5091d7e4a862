"""What one run asks of the backend."""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.boxes import Box


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """Prompts for one volume, and how to segment them.

    Args:
        prompts: One text a prompt, each for one structure.
        threshold: Probability from which a voxel is inside, 0 to 1.
        postprocess: Whether small islands are dropped: organs keep their largest part, tumors all of 0.1 ml or more.
        roi: Voxels in which masks are wanted; None for the whole volume. A backend may read only what is near them.
        probabilities: Whether each finding comes with its map of probabilities.
        uncertainty: Whether each finding comes with its map of uncertainty.
        fast: Whether the diffusion prompts of tumors are left out.
    """

    prompts: tuple[str, ...]
    threshold: float = 0.5
    postprocess: bool = True
    roi: Box | None = None
    probabilities: bool = False
    uncertainty: bool = False
    fast: bool = False
