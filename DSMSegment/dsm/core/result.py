"""Result of a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsm.core.boxes import CroppedArray, Index3
from dsm.core.evidence import Evidence
from dsm.core.name_status import NameStatus, ResultSource
from dsm.core.prompt import Prompt


@dataclass(frozen=True, slots=True, eq=False)
class PromptResult:
    """Result of one prompt, on the grid of the input image.

    Args:
        prompt: What was asked.
        mask: uint8, 1 inside; empty when nothing was found.
        shape: Voxels of the input grid along i, j, k.
        found: Whether the mask holds anything that is worth showing.
        score: Calibrated probability that the mask has a Dice of 0.5 or more, 0 to 1. None where nothing was found, and
            where no calibration holds: related names, image rules, guesses, clicks, and models without one.
        volume_ml: Volume of the mask.
        seconds: Time that this prompt took after the encoding.
        threshold: Probability above which a voxel is inside.
        probability: float16 map where it was asked for; 0 outside its box.
        uncertainty: float16 map where it was asked for, 0 sure to 1 undecided; see `native_uncertainty`.
        warnings: What the user should know, one sentence each.
        name_status: Kind of the name for the model; None where no name was asked for.
        guess: The network's guess at a name that it has not learned.
        evidence: Output of the network that presence and score were decided on; None without a mask, or by a rule.
        model: Name of the model that segmented it, where it is not the chosen one (`dsm.inference.other_models`).
        model_sha256: Digest of that model.
    """

    prompt: Prompt
    mask: CroppedArray
    shape: Index3
    found: bool
    score: float | None
    volume_ml: float
    seconds: float
    threshold: float
    probability: CroppedArray | None = None
    uncertainty: CroppedArray | None = None
    warnings: tuple[str, ...] = ()
    name_status: NameStatus | None = None
    guess: bool = False
    evidence: Evidence | None = None
    model: str = ""
    model_sha256: str = ""

    @property
    def source(self) -> ResultSource:
        """Source of the result."""
        if self.prompt.clicks:
            return ResultSource.CLICK
        return self.name_status.source(guess=self.guess) if self.name_status else ResultSource.LEARNED

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings of the prompt and of the result, each once."""
        return tuple(dict.fromkeys((*self.prompt.warnings, *self.warnings)))

    @property
    def touches_edge(self) -> bool:
        """True if the mask has a voxel in the first or last plane of the scan along some axis."""
        box = self.mask.box
        for axis, (start, stop, length) in enumerate(zip(box.start, box.stop, self.shape, strict=True)):
            planes = np.moveaxis(self.mask.array, axis, 0)
            if (start == 0 and planes[:1].any()) or (stop >= length and planes[-1:].any()):
                return True
        return False

    def full_mask(self) -> np.ndarray:
        """Return the mask on the whole input grid, uint8 `[I, J, K]`."""
        return self.mask.paste_into(self.shape)
