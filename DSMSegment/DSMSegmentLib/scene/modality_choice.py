"""Choice of the modality: automatic, CT or MR."""

from __future__ import annotations

from enum import Enum

from DSMSegmentLib.application import tr as _


class ModalityChoice(Enum):
    """Modality of the input volume.

    The parameter node stores the *names* of these members in scenes: never rename one.
    """

    AUTOMATIC = ""
    CT = "CT"
    MR = "MR"

    def label(self) -> str:
        """Text for the panel, in the language of the application."""
        return self.value or _("Automatic")

    @staticmethod
    def automaticLabel(modality: str) -> str:
        """Return the text of `AUTOMATIC` with the modality that was found.

        Args:
            modality: `"CT"` or `"MR"`; empty without a volume.
        """
        return _("Automatic ({modality})").format(modality=modality) if modality else _("Automatic")
