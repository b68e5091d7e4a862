"""Result tables of a cohort, as CSV and, with pyarrow, as Parquet: of cases and prompts, and of lesions."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsm.cohort.outcome import Finding, Outcome
from dsm.cohort.settings import CohortSettings
from dsm.io.atomic import atomic_output
from dsm.io.csv_table import write_csv

Columns = tuple[tuple[str, type], ...]

SEGMENTS = "segments"
LESIONS = "lesions"

#: Name and type of the columns, in their order.
COLUMNS: Columns = (
    ("case", str),
    ("source", str),
    ("status", str),
    ("prompt", str),
    ("name", str),
    ("kind", str),
    ("code", str),
    ("result_source", str),
    ("found", bool),
    ("volume_ml", float),
    ("num_lesions", int),
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
#: Likewise of the lesions.
LESION_COLUMNS: Columns = (
    ("case", str),
    ("source", str),
    ("prompt", str),
    ("name", str),
    ("code", str),
    ("result_source", str),
    ("lesion", int),
    ("volume_ml", float),
    ("longest_mm", float),
    ("perpendicular_mm", float),
    ("mean", float),
    ("sd", float),
    ("center_r_mm", float),
    ("center_a_mm", float),
    ("center_s_mm", float),
    ("slice_number", int),
    ("modality", str),
    ("warnings", str),
    ("file", str),
)


def write_tables(folder: Path, outcomes: Sequence[Outcome], settings: CohortSettings) -> list[Path]:
    """Write the tables `segments` and `lesions` into `folder`; a failed case is one row of `segments` with its reason.

    Returns:
        The files.

    Raises:
        OutputError: If one cannot be written.
    """
    segments = [row for outcome in outcomes for row in _rows(outcome, settings)]
    lesions = [row for outcome in outcomes for finding in outcome.findings for row in _lesion_rows(finding, outcome)]
    return [*_write(folder, SEGMENTS, segments, COLUMNS), *_write(folder, LESIONS, lesions, LESION_COLUMNS)]


def _write(folder: Path, name: str, rows: Sequence[dict[str, Any]], columns: Columns) -> list[Path]:
    rows = [{column: _as_text(value) for column, value in row.items()} for row in rows]
    table = folder / f"{name}.csv"
    write_csv(table, [column for column, _ in columns], rows)
    if importlib.util.find_spec("pyarrow") is None:
        return [table]
    _write_parquet(table.with_suffix(".parquet"), rows, columns)
    return [table, table.with_suffix(".parquet")]


def _as_text(value: Any) -> Any:
    """Escape what is no UTF-8 in a file name; other values stay."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


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
        other = {"model": finding.model, "model_sha256": finding.model_sha256} if finding.model else {}
        yield {name: (shared | other | _described(finding, outcome))[name] for name, _ in COLUMNS}


def _described(finding: Finding, outcome: Outcome) -> dict[str, Any]:
    return {
        "prompt": finding.prompt,
        "name": finding.name,
        "kind": finding.kind,
        "code": finding.code,
        "result_source": finding.source.value,
        "found": finding.found,
        "volume_ml": round(finding.volume_ml, 3),
        "num_lesions": None if finding.lesions is None else len(finding.lesions),
        "score": None if finding.score is None else round(finding.score, 4),
        "flags": " ".join(finding.flags),
        "warnings": " ".join(finding.warnings),
        "file": outcome.file if finding.found else "",
        "seconds": round(finding.seconds, 3),
    }


def _lesion_rows(finding: Finding, outcome: Outcome) -> Iterator[dict[str, Any]]:
    for number, lesion in enumerate(finding.lesions or (), start=1):
        yield {
            "case": outcome.case,
            "source": outcome.source,
            "prompt": finding.prompt,
            "name": finding.name,
            "code": finding.code,
            "result_source": finding.source.value,
            "lesion": number,
            **lesion.cells(),
            "modality": outcome.modality,
            "warnings": " ".join(finding.warnings),
            "file": outcome.file,
        }


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]], columns: Columns) -> None:
    import pyarrow as pa  # noqa: PLC0415  (0.2 s, for the end of a long run)
    from pyarrow import parquet  # noqa: PLC0415

    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns])
    with atomic_output(path) as part:
        parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), part)
