"""CohortSettings applied to every case of a cohort."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from dsm._version import __version__
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSettings:
    """Everything that determines the result of a case; runs with equal settings can share a folder.

    Args:
        prompts: Texts, as typed.
        model: Name of the model.
        model_sha256: Its digest.
        options: How prompts are segmented.
        modality: `"CT"` or `"MR"` instead of what the files say; None as a rule.
        precision: Of the encoding, see `dsm.core.precision`.
        format: Name of one of `dsm.io.formats`; `"auto"` is DICOM SEG for DICOM, else `.seg.nrrd`.
        version: Of the engine.
    """

    prompts: tuple[str, ...]
    model: str
    model_sha256: str
    options: SegmentOptions = field(default_factory=SegmentOptions)
    modality: str | None = None
    precision: str = AUTO
    format: str = "auto"
    version: str = __version__

    @property
    def fingerprint(self) -> str:
        """Hash of all settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
