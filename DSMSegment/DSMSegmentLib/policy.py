"""What a run may do to segments that are already there. The defaults destroy nothing."""

from __future__ import annotations

from enum import Enum


class ExistingPolicy(Enum):
    """When a segment with the name of the prompt exists.

    The parameter node stores the *names* of these members in scenes: never rename one.
    """

    ADD = "Add a new one"
    REPLACE = "Replace it"
    SKIP = "Skip the prompt"

    def label(self) -> str:
        """Text for the panel."""
        return self.value


class OverlapPolicy(Enum):
    """When a new segment covers voxels of segments that were there before the run.

    The parameter node stores the *names* of these members in scenes: never rename one.
    """

    ALLOW = "Allow overlap"
    KEEP_EXISTING = "Leave out voxels of other segments"
    OVERWRITE = "Take voxels from other segments"

    def label(self) -> str:
        """Text for the panel."""
        return self.value
