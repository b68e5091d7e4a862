"""Cost of a cohort beside the network: `python -m benchmarks.cohort_cost SCANS --workers 1 --model dsm-small`.

Prints one JSON object: wall time, cases an hour, and the processor time a case of this process (reading, writing,
pictures) and of the workers. On a machine that does other work, only the processor times mean something.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path

from dsm.cohort.run import run_cohort
from dsm.cohort.settings import CohortSettings
from dsm.core.default_model import DEFAULT_MODEL
from dsm.models.store import find_model, verify_model


def main() -> None:
    """Run the cohort and print its cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    settings = CohortSettings(
        prompts=("liver; spleen; left kidney; liver tumor",),
        model=options.model,
        model_sha256=verify_model(find_model(options.model)).digest,
    )
    with tempfile.TemporaryDirectory() as place:
        before = cpu_seconds(resource.RUSAGE_SELF)
        summary = run_cohort(options.scans, Path(place, "out"), settings, devices=["cpu"] * options.workers)
        own = cpu_seconds(resource.RUSAGE_SELF) - before
        workers = cpu_seconds(resource.RUSAGE_CHILDREN)
    num = len(summary.outcomes)
    described = {
        "workers": options.workers,
        "cases": num,
        "failed": summary.num_failed,
        "wall_s": summary.seconds,
        "cases_per_hour": 3600 * num / summary.seconds,
        "own_cpu_s_a_case": own / num,
        "worker_cpu_s_a_case": workers / num,
        "worker_wall_s_a_case": sum(outcome.worker_seconds for outcome in summary.outcomes) / num,
    }
    print(json.dumps({name: round(value, 2) for name, value in described.items()}))


def cpu_seconds(who: int) -> float:
    """Return user and system time of this process or its children."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
