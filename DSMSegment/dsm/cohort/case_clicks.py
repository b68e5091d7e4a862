"""Clicks in the cases of a cohort, from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsm.cohort.case import CohortCase
from dsm.core.click import Click, check_clicks
from dsm.errors import DSMError, InputError
from dsm.text.clicked_prompts import with_clicks

COLUMNS = ("case", "name", "r", "a", "s", "inside")
_INSIDE = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class CaseClick:
    """A click in a case.

    Args:
        case: Id of the case as in the table, or its series UID or path below the input folder.
        name: Name of the structure.
        click: The point.
        line: Line of the file.
    """

    case: str
    name: str
    click: Click
    line: int

    def belongs_to(self, case: CohortCase) -> bool:
        """Return whether the click is in a case."""
        return self.case in (case.id, case.source)


def read_case_clicks(path: Path) -> tuple[CaseClick, ...]:
    """Read clicks from a CSV file with the columns `case,name,r,a,s,inside`.

    Args:
        path: UTF-8. `r`, `a` and `s` are in mm; `inside` is true or false, 1 or 0, yes or no.

    Raises:
        InputError: Code `"clicks_file"`, with the line that cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = tuple(name.strip() for name in next(rows, []))
            if sorted(header) != sorted(COLUMNS):
                raise _unusable(path, 1, f"has the columns {', '.join(header) or 'none'}")
            clicks = [_click(path, rows.line_num, header, row) for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}).", code="clicks_file", hint="Give a CSV file.") from error
    if not clicks:
        raise InputError(f"{path} has no clicks.", code="clicks_file", hint="Write one a line.")
    _check_objects(path, clicks)
    return tuple(clicks)


def check_case_clicks(clicks: Iterable[CaseClick], cases: Sequence[CohortCase]) -> None:
    """Check that each click is in one of the cases.

    Raises:
        InputError: Code `"clicks_file"`, with the line of the first that is in none.
    """
    known = {name for case in cases for name in (case.id, case.source)}
    for one in clicks:
        if one.case not in known:
            raise InputError(
                f"Line {one.line} of the clicks: there is no case {one.case!r}.",
                code="clicks_file",
                hint="Give the path below the input folder, the series UID, or the case of segments.csv.",
            )


def _click(path: Path, line: int, header: Sequence[str], row: Sequence[str]) -> CaseClick:
    if len(row) != len(header):
        raise _unusable(path, line, f"has {len(row)} values")
    value = {name: text.strip() for name, text in zip(header, row, strict=True)}
    inside = _INSIDE.get(value["inside"].lower())
    if inside is None:
        raise _unusable(path, line, f"says inside: {value['inside']!r}")
    if not value["case"] or not value["name"]:
        raise _unusable(path, line, "has no case or no name")
    try:
        click = Click((float(value["r"]), float(value["a"]), float(value["s"])), inside)
        with_clicks([], [(value["name"], click)])
    except (ValueError, DSMError) as error:
        raise _unusable(path, line, f"cannot be used ({error})") from error
    return CaseClick(value["case"], value["name"], click, line)


def _check_objects(path: Path, clicks: Sequence[CaseClick]) -> None:
    for case in dict.fromkeys(one.case for one in clicks):
        own = [one for one in clicks if one.case == case]
        for prompt in with_clicks([], [(one.name, one.click) for one in own]):
            try:
                check_clicks(prompt.clicks, prompt.kind)
            except InputError as error:
                raise _unusable(path, own[0].line, f"and others on {prompt.name!r}: {error}") from error


def _unusable(path: Path, line: int, what: str) -> InputError:
    return InputError(
        f"Line {line} of {path} {what}.",
        code="clicks_file",
        hint=f"The columns are {','.join(COLUMNS)}; r, a, s in mm, inside true or false.",
    )
