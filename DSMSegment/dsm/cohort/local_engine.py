"""Local execution of a cohort: worker processes, and threads for reading and writing."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from dsm.cohort.case import WORK, CohortCase
from dsm.cohort.one_case import CaseRunner
from dsm.cohort.outcome import Outcome
from dsm.cohort.settings import CohortSettings
from dsm.cohort.worker_pool import WorkerPool
from dsm.io.dicomweb import DicomwebServer


def run_locally(
    cases: Sequence[CohortCase],
    folder: Path,
    settings: CohortSettings,
    devices: Sequence[str],
    *,
    archive: DicomwebServer | None = None,
) -> Generator[Outcome]:
    """Run cases, and yield outcomes as they come; closing the generator ends the workers.

    Args:
        cases: The scans.
        folder: Of the cohort.
        settings: Of each case.
        devices: A worker for each.
        archive: Server of the cases that have an address.

    Raises:
        DSMError: See `CaseRunner.run`.
    """
    work = folder / WORK
    work.mkdir(exist_ok=True)
    # No more workers than cases: each takes seconds to start and a model's memory.
    used = devices[: max(1, len(cases))]
    pool = WorkerPool(
        used, model=settings.model, model_sha256=settings.model_sha256, precision=settings.precision, folder=work
    )
    runner = CaseRunner(folder, settings, pool, archive)
    executor = ThreadPoolExecutor(len(used) + 1, thread_name_prefix="dsm-case")
    waiting: set[Future[Outcome]] = {executor.submit(runner.run, case) for case in cases}
    try:
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            # Successful ones first: an error ends the run, and finished cases are kept.
            for future in sorted(done, key=lambda one: one.exception() is not None):
                yield future.result()
    finally:
        # Also on Ctrl+C and on a full disk: do not wait for results that are discarded.
        for future in waiting:
            future.cancel()
        pool.close()
        executor.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(work, ignore_errors=True)
