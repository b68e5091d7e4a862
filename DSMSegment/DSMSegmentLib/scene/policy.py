"""Policies for existing segments. The defaults destroy nothing."""

from __future__ import annotations

from enum import Enum

from DSMSegmentLib.application import tr as _


class ExistingPolicy(Enum):
    """Policy for a segment that already has the name of the prompt.

    The parameter node stores the *names* of these members in scenes: never rename one.
    """

    ADD = "add"
    REPLACE = "replace"
    SKIP = "skip"

    def label(self) -> str:
        """Text for the panel, in the language of the application."""
        return {
            ExistingPolicy.ADD: _("Add a new one"),
            ExistingPolicy.REPLACE: _("Replace it"),
            ExistingPolicy.SKIP: _("Skip the prompt"),
        }[self]


class OverlapPolicy(Enum):
    """Policy for voxels that existing segments already cover.

    The parameter node stores the *names* of these members in scenes: never rename one.
    """

    ALLOW = "allow"
    KEEP_EXISTING = "keep existing"
    OVERWRITE = "overwrite"

    def label(self) -> str:
        """Text for the panel, in the language of the application."""
        return {
            OverlapPolicy.ALLOW: _("Allow overlap"),
            OverlapPolicy.KEEP_EXISTING: _("Leave out voxels of other segments"),
            OverlapPolicy.OVERWRITE: _("Take voxels from other segments"),
        }[self]
