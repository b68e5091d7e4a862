"""Processing of one case, from its input files to its output files."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dsm.cohort.case import SEGMENTATIONS, THUMBNAILS, WORK, CohortCase
from dsm.cohort.flags import flags_of
from dsm.cohort.outcome import FAILED, OK, Finding, Outcome
from dsm.cohort.settings import CohortSettings
from dsm.cohort.thumbnail import draw_thumbnail
from dsm.cohort.worker_pool import WorkerPool, segment_in
from dsm.core.error_codes import error_code, make_error
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from dsm.errors import DSMError, InputError, WorkerError
from dsm.inference.lesion_list import axial_slices, list_lesions
from dsm.inference.segment_metadata import segment_records
from dsm.io.dicomweb import DicomwebServer
from dsm.io.formats import DICOM_SEG, SEG_NRRD, format_of
from dsm.io.image import read_volume
from dsm.models.config import ModelConfig
from dsm.models.store import find_model
from dsm.worker.error_mapping import error_message

logger = logging.getLogger(__name__)


class CaseRunner:
    """Runs cases; thread-safe.

    Args:
        folder: Folder of the cohort, with those for masks and thumbnails.
        settings: Settings of the cohort.
        pool: Worker processes.
        archive: Server of the cases that have an address.
    """

    def __init__(
        self, folder: Path, settings: CohortSettings, pool: WorkerPool, archive: DicomwebServer | None = None
    ) -> None:
        self._archive = archive
        self._folder = folder
        self._settings = settings
        self._pool = pool
        self._trained = ModelConfig.load(find_model(settings.model)).trained

    def run(self, case: CohortCase) -> Outcome:
        """Segment a case and write its files.

        Errors of this case are in the outcome. After the death of a worker, the case is retried once in a new one.

        Raises:
            DSMError: If no other case can succeed either: the disk is full, or there is no model.
        """
        began = time.perf_counter()
        blank = Outcome(case=case.id, source=case.source, status=FAILED, fingerprint=self._settings.fingerprint)
        try:
            with self._local(case) as copy:
                outcome = self._segmented(copy, blank)
        except Exception as error:
            # An unexpected error in one case must not end the run; a full disk must.
            known = _redacted_error(error, case)
            # Where, but not the words of a library, which may be those of a header.
            logger.debug("CohortCase %s failed:\n%s", case.id, "".join(traceback.format_tb(error.__traceback__)))
            if error_code(known.code).ends_cohort:  # with a full disk every other case would fail, too
                raise known from None
            outcome = replace(blank, error_code=known.code, error=known.one_line)
        return replace(outcome, seconds=round(time.perf_counter() - began, 3))

    @contextmanager
    def _local(self, case: CohortCase) -> Iterator[CohortCase]:
        """Yield a case with its files, which are fetched from the archive and removed afterwards."""
        if case.address is None or self._archive is None:
            yield case
            return
        with TemporaryDirectory(dir=self._folder / WORK) as name:
            folder = Path(name)
            self._archive.fetch(case.address, folder)
            yield replace(case, path=folder, files=tuple(str(file) for file in sorted(folder.iterdir())))

    def _segmented(self, case: CohortCase, blank: Outcome) -> Outcome:
        if case.copies:
            raise InputError(
                f"The series lies in {1 + len(case.copies)} folders, so it is not certain which copy is meant.",
                code="input.twice",
                hint="Remove the other copies, or give the folder of one; the log names the folders.",
            )
        volume = read_volume(case.path, modality=self._settings.modality, series_uid=case.series_uid)
        results, seconds, attempts = self._compute(volume, self._settings.prompts_of(case))
        records = segment_records(results, Provenance(self._settings.model, self._settings.model_sha256))
        outcome = replace(
            blank,
            status=OK,
            modality=volume.modality,
            shape=volume.shape,
            spacing_mm=volume.spacing_mm,
            notes=tuple(case.redact(note.text) for note in volume.notes),
            findings=tuple(self._finding(result, volume) for result in results),
            worker_seconds=round(seconds, 3),
            attempts=attempts,
        )
        masks = self._masks_path(case)
        thumbnail = self._folder / THUMBNAILS / f"{case.id}.png"
        draw_thumbnail(thumbnail, volume, records, (case.id, summary(outcome)))
        outcome = replace(outcome, thumbnail=thumbnail.relative_to(self._folder).as_posix())
        chosen = format_of(masks)
        if not records and not chosen.empty:
            return outcome  # the table says that nothing was found
        chosen.write(masks, records, volume, case.files)
        if self._settings.send and self._archive is not None:
            self._archive.store(masks)
        return replace(outcome, file=masks.relative_to(self._folder).as_posix())

    def _compute(self, volume: Volume, prompts: Sequence[Prompt]) -> tuple[list[PromptResult], float, int]:
        for attempt in (1, 2):
            try:
                with self._pool.worker() as client:
                    began = time.perf_counter()
                    results = segment_in(
                        client,
                        volume,
                        prompts,
                        self._settings.options,
                    )
                    return results, time.perf_counter() - began, attempt
            except WorkerError as error:
                if not error_code(error.code).worker_lost or self._pool.closed or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _finding(self, result: PromptResult, volume: Volume) -> Finding:
        structure = result.prompt.structure
        kind = structure.terminology.type if structure else None
        lesions, note = None, ""
        if result.prompt.kind == "tumor":
            lesions = tuple(one.rounded() for one in list_lesions(result.mask, volume.array, volume.affine))
            note = axial_slices(volume.affine).note if lesions else ""
        return Finding(
            prompt=result.prompt.text,
            name=result.prompt.name,
            kind=result.prompt.kind,
            code=f"{kind.scheme} {kind.value}" if kind else "",
            found=result.found,
            score=result.score,
            volume_ml=result.volume_ml,
            source=result.source,
            flags=flags_of(result, volume, self._trained),
            warnings=(*result.warnings, note) if note else result.warnings,
            seconds=result.seconds,
            lesions=lesions,
            model=result.model,
            model_sha256=result.model_sha256,
        )

    def _masks_path(self, case: CohortCase) -> Path:
        wanted = self._settings.format
        name = wanted if wanted != "auto" else (DICOM_SEG if case.series_uid else SEG_NRRD).name
        return self._folder / SEGMENTATIONS / f"{case.id}.{name}"


def _redacted_error(error: Exception, case: CohortCase) -> DSMError:
    """Return the error message without anything that identifies the patient."""
    message = error_message(error, case.id)
    is_ours = isinstance(error, DSMError) or message.code != "internal"
    text = message.text if is_ours else f"An unexpected error occurred ({type(error).__name__})."
    return make_error(message.code, case.redact(text), hint=message.hint)


def summary(outcome: Outcome) -> str:
    """One-line summary of the results."""
    found = [f"{finding.name} {finding.volume_ml:.0f} ml" for finding in outcome.findings if finding.found]
    return ", ".join(found) or "nothing found"
