"""Run of a cohort: find scans, skip finished ones, run the rest on workers, write the table."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from dsm.cohort.case import CASES, RESULT_FOLDERS, SETTINGS_FILE, WORK, CohortCase, find_cases
from dsm.cohort.case_clicks import check_case_clicks
from dsm.cohort.local_engine import run_locally
from dsm.cohort.outcome import FAILED, OK, Outcome, read_outcome, write_outcome
from dsm.cohort.settings import CohortSettings
from dsm.cohort.table import write_tables
from dsm.cohort.thumbnail import draw_pages
from dsm.errors import OutputError
from dsm.io.atomic import PART_PREFIX
from dsm.io.folder_lock import folder_lock
from dsm.io.formats import FORMATS, no_series
from dsm.io.json_file import write_json
from dsm.text.prompt import parse_prompts

OnOutcome = Callable[[Outcome, int, int], None]
RunCases = Callable[[Sequence[CohortCase], Path, CohortSettings, Sequence[str]], Generator[Outcome]]


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of a run.

    Args:
        outcomes: Of all cases, those of earlier runs too, in the order they were found.
        num_skipped: Cases that earlier runs had finished.
        seconds: Wall time of this run.
        files: Table and pages.
    """

    outcomes: tuple[Outcome, ...]
    num_skipped: int
    seconds: float
    files: tuple[Path, ...]

    @property
    def num_failed(self) -> int:
        """Cases that could not be segmented."""
        return sum(outcome.status == FAILED for outcome in self.outcomes)


def run_cohort(
    scans: Path | Sequence[CohortCase],
    folder: Path,
    settings: CohortSettings,
    *,
    devices: Sequence[str],
    run_cases: RunCases = run_locally,
    retry_failed: bool = False,
    on_outcome: OnOutcome | None = None,
) -> Summary:
    """Segment every scan into `folder`; a folder that was begun is continued.

    Args:
        scans: A folder of DICOM series and image files, one file, or cases.
        folder: For the results; made when missing.
        settings: Settings of each case. Without prompts, only cases with clicks are run.
        devices: A worker process for each.
        run_cases: Engine: this machine or a Ray cluster.
        retry_failed: Do the cases again that failed in an earlier run.
        on_outcome: Called in this thread with each finished case, how many are done, and how many there are.

    Raises:
        DSMError: If there is no scan or no model, the folder holds results of other settings or is in use, or the disk
            is full. What was finished by then stays, with its table.
    """
    began = time.perf_counter()
    if settings.prompts or not settings.clicks:
        parse_prompts(settings.prompts)  # reports an invalid prompt before any work
    cases = find_cases(scans, out=folder) if isinstance(scans, Path) else list(scans)
    check_case_clicks(settings.clicks, cases)
    cases = [case for case in cases if settings.prompts_of(case)]
    chosen = next((one for one in FORMATS if one.name == settings.format and one.needs_series), None)
    if chosen and (lone := next((case for case in cases if case.series_uid is None), None)):
        raise no_series(chosen, str(lone.path), hint="Choose --format auto or seg.nrrd.")
    _make_folders(folder)
    with folder_lock(folder):
        _sweep(folder)
        _check_settings(folder, settings)
        outcomes = _finished(folder, cases, settings, retry_failed=retry_failed)
        num_skipped = len(outcomes)
        todo = [case for case in cases if case.id not in outcomes]
        try:
            with closing(run_cases(todo, folder, settings, devices)) as finished:
                for outcome in finished:
                    write_outcome(folder / CASES, outcome)
                    outcomes[outcome.case] = outcome
                    if on_outcome is not None:
                        on_outcome(outcome, len(outcomes), len(cases))
        finally:
            ordered = [outcomes[case.id] for case in cases if case.id in outcomes]
            files = _write_overview(folder, ordered, settings)
    return Summary(tuple(ordered), num_skipped, time.perf_counter() - began, tuple(files))


def _make_folders(folder: Path) -> None:
    try:
        for path in (folder, *(folder / name for name in RESULT_FOLDERS)):
            path.mkdir(parents=path == folder, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made ({error.strerror}).",
            code="output.permission",
            hint="Choose a folder that you may write to.",
        ) from error


def _sweep(folder: Path) -> None:
    """Remove leftovers of a killed run: partial files, and voxels handed to workers."""
    shutil.rmtree(folder / WORK, ignore_errors=True)
    for part in folder.rglob(PART_PREFIX + "*"):
        part.unlink(missing_ok=True)


def _check_settings(folder: Path, settings: CohortSettings) -> None:
    path = folder / SETTINGS_FILE
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{path} is damaged, so it is not known what the results in {folder} are.",
                code="output.settings",
                hint="Choose another folder.",
            ) from error
        if before != settings.fingerprint:
            raise OutputError(
                f"{folder} holds results of other prompts, another model or other options; see {path}.",
                code="output.settings",
                hint="Choose another folder, or give the same options to continue.",
            )
        return
    write_json(path, {"fingerprint": settings.fingerprint, "settings": asdict(settings)})


def _finished(
    folder: Path, cases: Sequence[CohortCase], settings: CohortSettings, *, retry_failed: bool
) -> dict[str, Outcome]:
    """Outcomes of earlier runs whose files are still there."""
    outcomes = {}
    for case in cases:
        outcome = read_outcome(folder / CASES / f"{case.id}.json")
        if outcome is None or outcome.fingerprint != settings.fingerprint:
            continue
        if outcome.status != OK and retry_failed:
            continue
        if all((folder / name).is_file() for name in (outcome.file, outcome.thumbnail) if name):
            outcomes[case.id] = outcome
    return outcomes


def _write_overview(folder: Path, outcomes: Sequence[Outcome], settings: CohortSettings) -> list[Path]:
    pictures = [folder / outcome.thumbnail for outcome in outcomes if outcome.thumbnail]
    return [*write_tables(folder, outcomes, settings), *draw_pages(folder, pictures)]
