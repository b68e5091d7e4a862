"""Jobs on series of the operator's DICOMweb server: fetch, segment, and store there if asked to."""

from __future__ import annotations

import base64
import logging
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dsm.client.session import ResultFiles, prompt_result
from dsm.core.error_codes import make_error
from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from dsm.errors import DSMError, InputError, JobCancelled, ServerError
from dsm.inference.segment_metadata import segment_records
from dsm.io.dicomweb import DicomwebServer, naming_address
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.io.dicomweb_address import DicomwebAddress, is_address
from dsm.io.formats import DICOM_SEG
from dsm.io.image import read_volume
from dsm.models.store import ModelEntry
from dsm.server.job import Job, JobSpec, error_event
from dsm.server.messages import ResultResponse
from dsm.server.scheduler import Scheduler
from dsm.server.volumes import VolumeStore
from dsm.wire.codec import from_fields

logger = logging.getLogger(__name__)


class Archive:
    """One DICOMweb server, and the threads that fetch from it and store there.

    A client names a study or a series of it and never another server, so that it cannot make this machine ask for
    addresses within the network of the department.

    Args:
        server: Address of the service, without a study.
        access: Credentials and trust, which no client sees.
        volumes: Store of the voxels.
        scheduler: Of the workers.
        model: The model of the workers.
        folder: Existing folder for the files of series; each is removed when its job ends.
        num_threads: Jobs at a time.

    Raises:
        MissingDependencyError: If dicomweb-client or highdicom is not installed.
        RemoteError: If the certificate file cannot be read.
    """

    def __init__(
        self,
        server: str,
        access: DicomwebAccess,
        *,
        volumes: VolumeStore,
        scheduler: Scheduler,
        model: ModelEntry,
        folder: Path,
        num_threads: int,
    ) -> None:
        self.server = server
        self._client = DicomwebServer(server, access)
        self._volumes = volumes
        self._scheduler = scheduler
        self._model = model
        self._folder = folder
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="dsm-archive")

    def submit(self, user: str, spec: JobSpec) -> Job:
        """Queue a job on a series.

        Raises:
            InputError: If the address is none, or of another server.
            ServerError: If the user has too many jobs.
        """
        address = self.address_of(spec.address)
        job = self._scheduler.add(user, spec)
        self._threads.submit(self._run, job, address)
        return job

    def address_of(self, text: str) -> DicomwebAddress:
        """Return the address of a study or series of this server.

        Args:
            text: In full, or from `studies` on.

        Raises:
            InputError: If it is none, or of another server.
        """
        full = text if is_address(text) else f"{self.server}/{text.lstrip('/')}"
        address = DicomwebAddress.parse(full)
        if address.server != self.server:
            raise InputError(
                "This server segments what is in its own archive, and nothing else.",
                code="dicomweb.other_server",
                hint="Give studies/STUDY_UID/series/SERIES_UID.",
            )
        if not address.study or address.search:
            raise InputError(
                "The address is of no study or series.",
                code="dicomweb.address",
                hint="Give studies/STUDY_UID/series/SERIES_UID.",
            )
        return address

    def close(self) -> None:
        """Wait for the threads; the scheduler, closed before, has ended their jobs."""
        self._threads.shutdown(cancel_futures=True)

    def _run(self, job: Job, address: DicomwebAddress) -> None:
        """Run a job; called on a thread."""
        try:
            if not job.begin():
                return
            with tempfile.TemporaryDirectory(dir=self._folder) as name, naming_address(Path(name), address):
                self._segment(job, address, Path(name))
        except JobCancelled:
            job.emit(error_event("cancelled", "The job was cancelled."), state="cancelled")
        except DSMError as error:
            logger.warning("Job %s: %s", job.id, error.code)
            if error.code.startswith("remote."):  # between this server and the archive: nothing that the user can mend
                logger.warning("Archive: %s", error.one_line)
                error = ServerError(str(error), code="dicomweb.archive", hint="Ask the server's operator.")
            job.emit(error_event(error.code, str(error), error.hint), state="failed")
        except Exception as error:  # one job, not the server
            # Where, but not the words of a library, which may be those of a header.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("Job %s failed unexpectedly (%s).\n%s", job.id, type(error).__name__, where)
            job.emit(error_event("internal", f"An unexpected error occurred ({type(error).__name__})."), state="failed")

    def _segment(self, job: Job, address: DicomwebAddress, folder: Path) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            self._check_wanted(job)
            job.emit({"type": "progress", "stage": stage, "done": done, "total": total})

        began = time.monotonic()
        series = self._client.one_series(address)
        logger.info("Job %s: %s reads %s", job.id, job.user, str(series).removeprefix(self.server))
        self._client.fetch(series, folder, progress=progress)
        volume = read_volume(folder)
        files = [str(file) for file in sorted(folder.iterdir())]
        if job.spec.send:
            DICOM_SEG.check_source(volume, files)
        for note in volume.notes:
            job.emit({"type": "note", "code": note.code, "text": note.text})
        self._check_wanted(job)
        with self._volumes.added(job.user, volume) as stored:
            job.volume = stored.id
            results = self._computed(job, volume)
        if job.spec.send:
            self._check_wanted(job)
            self._store(job, results, volume, files)
        job.emit({"type": "done", "seconds": round(time.monotonic() - began, 3)}, state="done")

    def _computed(self, job: Job, volume: Volume) -> list[PromptResult]:
        """Let a worker segment; pass its events on but the last, and return the results that are to be sent."""
        spec = JobSpec(volume=job.volume, prompts=job.spec.prompts, options=job.spec.options)
        results: dict[int, PromptResult] = {}
        for event in self._scheduler.run_part(job, spec):
            if event["type"] == "error":
                raise make_error(event["code"], event["text"], hint=event["hint"])
            if event["type"] == "done":
                break
            job.emit(event)
            if event["type"] == "result" and job.spec.send:
                results[event["prompt"]] = _result(event, job.spec, volume)
        return [results[number] for number in sorted(results)]

    def _store(self, job: Job, results: Sequence[PromptResult], volume: Volume, files: Sequence[str]) -> None:
        model = self._model
        records = segment_records(results, Provenance(model.name, model.digest))
        if not records:
            job.emit({"type": "note", "code": "", "text": "Nothing was found, so nothing was stored."})
            return
        file = Path(files[0]).parent / "segmentation.dcm"
        DICOM_SEG.write(file, records, volume, files)
        stored = self._client.store(file)
        logger.info("Job %s: %s stores %s", job.id, job.user, str(stored).removeprefix(self.server))
        job.stored = str(stored)
        job.emit({"type": "stored", "address": job.stored})

    def _check_wanted(self, job: Job) -> None:
        if self._scheduler.closing:
            raise ServerError("The server is shutting down.", code="closing", hint="Try later.")
        if job.cancel_wanted:
            raise JobCancelled("The job was cancelled.")


def _result(event: dict[str, Any], spec: JobSpec, volume: Volume) -> PromptResult:
    message = from_fields(ResultResponse, event, where="result")
    files = ResultFiles(base64.b64decode(message.mask), b"", b"")
    return prompt_result(message, files, spec.prompts[message.prompt], volume.shape)
