"""Result table of a cohort: a row per case and prompt, as CSV and, with pyarrow, as Parquet."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsm.cohort.outcome import Finding, Outcome
from dsm.cohort.settings import CohortSettings
from dsm.io.atomic import atomic_output
from dsm.io.csv_cell import harmless

CSV_FILE = "segments.csv"
PARQUET_FILE = "segments.parquet"

#: Name and type of the columns, in their order.
COLUMNS: tuple[tuple[str, type], ...] = (
    ("case", str),
    ("source", str),
    ("status", str),
    ("prompt", str),
    ("name", str),
    ("kind", str),
    ("code", str),
    ("answer", str),
    ("found", bool),
    ("volume_ml", float),
    ("score", float),
    ("flags", str),
    ("warnings", str),
    ("modality", str),
    ("shape", str),
    ("spacing_mm", str),
    ("notes", str),
    ("file", str),
    ("error_code", str),
    ("error", str),
    ("seconds", float),
    ("model", str),
    ("model_sha256", str),
    ("version", str),
)


def write_tables(folder: Path, outcomes: Sequence[Outcome], settings: CohortSettings) -> list[Path]:
    """Write `segments.csv` and `segments.parquet` into `folder`; a failed case is one row with its reason.

    Returns:
        The files.

    Raises:
        OutputError: If one cannot be written.
    """
    rows = [row for outcome in outcomes for row in _rows(outcome, settings)]
    with atomic_output(folder / CSV_FILE) as part, part.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, [name for name, _ in COLUMNS])
        writer.writeheader()
        writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    if importlib.util.find_spec("pyarrow") is None:
        return [folder / CSV_FILE]
    _write_parquet(folder / PARQUET_FILE, rows)
    return [folder / CSV_FILE, folder / PARQUET_FILE]


def _rows(outcome: Outcome, settings: CohortSettings) -> Iterator[dict[str, Any]]:
    shared = {
        "case": outcome.case,
        "source": outcome.source,
        "status": outcome.status,
        "modality": outcome.modality,
        "shape": "x".join(map(str, outcome.shape)),
        "spacing_mm": "x".join(f"{value:.4g}" for value in outcome.spacing_mm),
        "notes": " ".join(outcome.notes),
        "error_code": outcome.error_code,
        "error": outcome.error,
        "model": settings.model,
        "model_sha256": settings.model_sha256,
        "version": settings.version,
    }
    if not outcome.findings:
        yield {name: shared.get(name, False if kind is bool else None) for name, kind in COLUMNS}
    for finding in outcome.findings:
        yield {name: (shared | _described(finding, outcome))[name] for name, _ in COLUMNS}


def _described(finding: Finding, outcome: Outcome) -> dict[str, Any]:
    return {
        "prompt": finding.prompt,
        "name": finding.name,
        "kind": finding.kind,
        "code": finding.code,
        "answer": finding.answer.value,
        "found": finding.found,
        "volume_ml": round(finding.volume_ml, 3),
        "score": None if finding.score is None else round(finding.score, 4),
        "flags": " ".join(finding.flags),
        "warnings": " ".join(finding.warnings),
        "file": outcome.file if finding.found else "",
        "seconds": round(finding.seconds, 3),
    }


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa  # noqa: PLC0415  (0.2 s, for the end of a long run)
    from pyarrow import parquet  # noqa: PLC0415

    types = {str: pa.string(), bool: pa.bool_(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS])
    with atomic_output(path) as part:
        parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), part)
