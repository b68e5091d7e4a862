"""Outcome of a case: one JSON file each, written last, which marks the case as done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsm.core.name_status import ResultSource
from dsm.errors import ProtocolError
from dsm.inference.lesion_list import MeasuredLesion
from dsm.io.json_file import write_json
from dsm.wire.codec import from_fields

OK = "ok"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one prompt.

    Args:
        prompt: As typed.
        name: Canonical name.
        kind: `"organ"` or `"tumor"`.
        code: Coding scheme and value of what it is, e.g. `"SCT 10200004"`; empty for free text.
        found: Whether there is a mask.
        score: 0 to 1, see `PromptResult.score`; None where there is none.
        volume_ml: Of the mask.
        flags: Flags for review, see `dsm.cohort.flags`.
        source: Source of the result.
        warnings: Sentences.
        seconds: Time of this prompt after the encoding.
        lesions: Lesions of a tumor, the largest first; None for an organ, and in records that are older than this.
        model: Name of the model that segmented it, where it is not the chosen one.
        model_sha256: Digest of that model.
    """

    prompt: str
    name: str
    kind: str
    code: str
    found: bool
    score: float | None
    volume_ml: float
    source: ResultSource = ResultSource.LEARNED
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    lesions: tuple[MeasuredLesion, ...] | None = None
    model: str = ""
    model_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of a case.

    Args:
        case: `CohortCase.id`.
        source: `CohortCase.source`.
        status: `"ok"`, or `"failed"` with the reason in `error_code` and `error`.
        fingerprint: `CohortSettings.fingerprint`.
        modality: CT or MR.
        shape: Voxels.
        spacing_mm: Voxel size.
        notes: Assumptions about the input, in sentences.
        findings: One a prompt.
        file: The masks, relative to the folder of the cohort; empty when nothing was found or the format cannot say it.
        thumbnail: A picture, likewise.
        error_code: Stable identifier.
        error: Description of the error, without paths of DICOM files.
        seconds: Wall time from reading to writing, waiting for a free worker included.
        worker_seconds: Time of the worker alone.
        attempts: 2 where the worker died the first time.
    """

    case: str
    source: str
    status: str
    fingerprint: str
    modality: str = ""
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    file: str = ""
    thumbnail: str = ""
    error_code: str = ""
    error: str = ""
    seconds: float = 0.0
    worker_seconds: float = 0.0
    attempts: int = 1


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write `folder/<case>.json` atomically.

    Raises:
        OutputError: If it cannot be written.
    """
    write_json(folder / f"{outcome.case}.json", asdict(outcome))


def read_outcome(path: Path) -> Outcome | None:
    """Read the output of `write_outcome`; None for a damaged file, whose case is then run again."""
    try:
        fields: Any = json.loads(path.read_text(encoding="utf-8"))
        return from_fields(Outcome, fields) if isinstance(fields, dict) else None
    except (OSError, ValueError, RecursionError, ProtocolError):
        return None
