"""A parsed prompt: read once by the host (`dsm.text.prompt`), and the same on every side of the wire."""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.click import Click
from dsm.core.structure import Kind, Structure


@dataclass(frozen=True, slots=True)
class Prompt:
    """One structure to segment.

    Args:
        text: What the person typed.
        name: Canonical name in the vocabulary; the normalised words if it is free text.
        kind: `"organ"` or `"tumor"`; for free text the lesion words decide.
        structure: The vocabulary entry, None for free text.
        warnings: What the person should know, in sentences.
        suggestions: Names in the vocabulary that free text may have been meant for.
        clicks: Points in their order, of which one is inside: the mask is then the clicked object, whatever the name.
            Empty for a prompt by name alone.
    """

    text: str
    name: str
    kind: Kind
    structure: Structure | None = None
    warnings: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    clicks: tuple[Click, ...] = ()

    @property
    def canonical_text(self) -> str:
        """Text that parses to this prompt alone: the canonical name, or free text as it was typed."""
        return self.name if self.structure else self.text
