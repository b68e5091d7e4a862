"""Execution of a cohort on a Ray cluster, one actor per worker; all nodes need the same paths."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from dsm.cohort.case import WORK, CohortCase
from dsm.cohort.one_case import CaseRunner
from dsm.cohort.outcome import FAILED, Outcome
from dsm.cohort.settings import CohortSettings
from dsm.cohort.worker_pool import WorkerPool
from dsm.core.error_codes import make_error
from dsm.worker.ray_cluster import connect_to_ray


def run_on_ray(
    cases: Sequence[CohortCase], folder: Path, settings: CohortSettings, devices: Sequence[str]
) -> Generator[Outcome]:
    """Run cases, and yield outcomes as they come; closing the generator ends the actors.

    The cluster is the one that `RAY_ADDRESS` names, else one is started on this machine. An actor whose process or node
    dies is started again and its case is repeated once; then the case has failed.

    Raises:
        DSMError: See `CaseRunner.run`.
        MissingDependencyError: If ray is not installed.
        ResourceError: If the cluster cannot be reached.
    """
    ray = connect_to_ray()
    try:
        actor = ray.remote(max_restarts=-1, max_task_retries=1)(_CohortActor)
        place = str(folder.resolve())
        idle = []
        for device in devices[: max(1, len(cases))]:
            needs = actor.options(num_cpus=1, num_gpus=int(device.startswith("cuda")))
            idle.append(needs.remote(place, settings, device))
        running: dict[Any, tuple[Any, CohortCase]] = {}
        todo = list(reversed(cases))
        while todo or running:
            while todo and idle:
                worker, case = idle.pop(), todo.pop()
                running[worker.run.remote(case)] = (worker, case)
            (ready, *_), _ = ray.wait(list(running))
            worker, case = running.pop(ready)
            idle.append(worker)
            yield _outcome(ray, ready, case, settings)
    finally:
        # Workers end with their actors; no voxel stays where they were given to them.
        ray.shutdown()
        shutil.rmtree(folder / WORK, ignore_errors=True)


def _outcome(ray: Any, ready: Any, case: CohortCase, settings: CohortSettings) -> Outcome:
    try:
        outcome: Outcome = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        # A DSMError of the actor: no other case can succeed either.
        cause = error.cause
        raise make_error(getattr(cause, "code", "internal"), str(cause), hint=getattr(cause, "hint", "")) from None
    except ray.exceptions.RayError as error:
        what = f"The worker of this case died twice ({type(error).__name__})."
        return Outcome(
            case=case.id,
            source=case.source,
            status=FAILED,
            fingerprint=settings.fingerprint,
            error_code="worker.died",
            error=what,
            attempts=2,
        )
    return outcome


class _CohortActor:
    """One worker on some node, with its model warm."""

    def __init__(self, folder: str, settings: CohortSettings, device: str) -> None:
        work = Path(folder, WORK)
        work.mkdir(exist_ok=True)
        # Ray shows an actor its own GPU alone, and calls it the first.
        own = "cuda" if device.startswith("cuda") else device
        pool = WorkerPool(
            [own], model=settings.model, model_sha256=settings.model_sha256, precision=settings.precision, folder=work
        )
        self._runner = CaseRunner(Path(folder), settings, pool)

    def run(self, case: CohortCase) -> Outcome:
        return self._runner.run(case)
