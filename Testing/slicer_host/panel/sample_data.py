"""Stand-in for what modules call of Slicer's `SampleData`: the list of sources, and what is refused of them.

Categories with a title came after 5.10, so there are none here: who registers one asks first whether it can.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import slicer


class SampleDataSource:
    """One or more files, with as many names, addresses and hashes."""

    def __init__(
        self,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: Any = None,
    ) -> None:
        self.sampleName, self.thumbnailFileName = sampleName, thumbnailFileName
        lists = [one if isinstance(one, list) else [one] for one in (uris, fileNames, nodeNames, checksums)]
        self.uris, self.fileNames, self.nodeNames, self.checksums = lists
        if len({len(one) for one in lists}) != 1:
            raise ValueError("All fields of sample data source must have the same length")


class SampleDataLogic:
    """Adds sources."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **fields: Any) -> None:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        slicer.modules.sampleDataSources.setdefault(category, []).append(SampleDataSource(**fields))


def publish() -> None:
    """Make `SampleData` importable."""
    module = types.ModuleType("SampleData")
    vars(module).update(SampleDataSource=SampleDataSource, SampleDataLogic=SampleDataLogic)
    sys.modules[module.__name__] = module
