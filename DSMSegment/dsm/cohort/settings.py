"""Settings of a cohort."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from dsm._version import __version__
from dsm.cohort.case import CohortCase
from dsm.cohort.case_clicks import CaseClick
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO
from dsm.core.prompt import Prompt
from dsm.text.clicked_prompts import with_clicks
from dsm.text.prompt import parse_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSettings:
    """Everything that determines the result of a case; runs with equal settings can share a folder.

    Args:
        prompts: Texts, as typed.
        model: Name of the model.
        model_sha256: Its digest.
        other_models: Digests of the models that segment those of the names which it has not learned.
        options: Options of the prompts.
        clicks: Clicks in single cases.
        modality: `"CT"` or `"MR"` instead of what the files say; None as a rule.
        precision: Of the encoding, see `dsm.core.precision`.
        format: Name of one of `dsm.io.formats`; `"auto"` is DICOM SEG for DICOM, else `.seg.nrrd`.
        send: Whether each result is stored on the DICOMweb server of its scan.
        version: Of the engine.
    """

    prompts: tuple[str, ...]
    model: str
    model_sha256: str
    other_models: tuple[str, ...] = ()
    options: SegmentOptions = field(default_factory=SegmentOptions)
    clicks: tuple[CaseClick, ...] = ()
    modality: str | None = None
    precision: str = AUTO
    format: str = "auto"
    send: bool = False
    version: str = __version__

    @property
    def fingerprint(self) -> str:
        """Hash of all settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def prompts_of(self, case: CohortCase) -> list[Prompt]:
        """Return the prompts of a case, with its clicks; none where there are clicks in other cases alone."""
        own = [(one.name, one.click) for one in self.clicks if one.belongs_to(case)]
        return with_clicks(parse_prompts(self.prompts) if self.prompts else [], own)
