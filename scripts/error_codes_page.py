"""Write `docs/reference/error-codes.md` from `dsm.core.error_codes`: `python scripts/error_codes_page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "DSMSegment"))  # so that it runs from a clone

from dsm.core.error_codes import ERROR_CODES, ErrorCode  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "error-codes.md"

_HEAD = """# Error codes

Every error of DSMSegment has a stable code, for programs, beside its sentence and hint, for people. The command line
prints sentence and hint; `segments.csv` of a batch and the answers of a server give the code, and in Python it is
`DSMError.code`. *Class* is the exception in `dsm.errors`; it is the same whether the error was raised in this process,
in a worker or on a server. A code of a newer version stands for the part before its dot.

This page is made from `dsm/core/error_codes.py` by `scripts/error_codes_page.py`.

| Code | Class | Meaning | HTTP | What programs do |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_line(row) for row in ERROR_CODES.values())


def _line(row: ErrorCode) -> str:
    return f"| `{row.code}` | `{row.error.__name__}` | {row.meaning} | {row.http_status} | {_done(row)} |\n"


def _done(row: ErrorCode) -> str:
    done = {
        "a batch tries the case once more": row.worker_lost,
        "a server runs the job again": row.requeued,
        "a batch ends": row.ends_cohort,
        "a client connects again": row.transient,
        "a client asks again later": row.busy,
    }
    return "; ".join(what for what, is_done in done.items() if is_done)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
