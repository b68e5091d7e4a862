"""Measurements in separate processes: each has its own peak memory and a cold start."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsm.errors import WorkerError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def measure(job: str, *, threads: int, **arguments: Any) -> Any:
    """Run a job in a fresh process.

    Args:
        job: A name in `_run`.
        threads: That it may use. Threads that wait for each other burn CPU seconds, so 1 compares best.
        arguments: Of the job, as JSON can hold them; a `Peer` by its reference `module:NAME`.

    Raises:
        WorkerError: If it fails.
    """
    path = os.pathsep.join(folder for folder in sys.path if folder)  # so that it finds what this process finds
    done = subprocess.run(
        [sys.executable, "-m", "dsm.bench.job_process", job, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(_THREAD_VARIABLES, str(threads))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise WorkerError(f"Measuring {job} failed: {last[0]}", code="bench.job", details=done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _run(job: str, arguments: dict[str, Any]) -> Any:
    arguments = {key: Path(value) if key in {"scan", "out"} else value for key, value in arguments.items()}
    if job == "peak":
        from dsm.bench.conv_peak import conv_peak_gflops  # noqa: PLC0415  (each job imports what it needs)

        return conv_peak_gflops()
    if job == "peer":
        from dsm.bench.peer_cost import peer_cost  # noqa: PLC0415

        return peer_cost(pkgutil.resolve_name(arguments.pop("peer")), **arguments)
    from dsm.bench import own_cost  # noqa: PLC0415

    jobs: dict[str, Callable[..., Any]] = {
        "precision": own_cost.fastest_precision,
        "run": own_cost.whole_run,
        "prompts": own_cost.prompt_costs,
        "sizes": own_cost.size_costs,
    }
    return jobs[job](**arguments)


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], json.loads(sys.argv[2]))))  # noqa: T201
