"""The whole benchmark: our pipeline, other ones, our pipeline again, and the report."""

from __future__ import annotations

import os
import pkgutil
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dsm._version import __version__
from dsm.bench.job_process import measure
from dsm.bench.peer import Peer
from dsm.bench.phantom import SHAPE, SPACING_MM, phantom_ct
from dsm.bench.ratios import ratios
from dsm.core.boxes import CroppedArray
from dsm.core.precision import AUTO
from dsm.io.nifti import write_nifti

PROMPT_COUNTS = (1, 5, 25, 100)
TOTALSEGMENTATOR = "dsm.bench.totalsegmentator:TOTALSEGMENTATOR_3MM"


@dataclass(frozen=True, slots=True)
class Plan:
    """Extent of a benchmark.

    Args:
        name: For the report.
        windows: Most windows a network of another pipeline, by its name.
        default_windows: For those that are not named.
        depths: Slices of the phantoms of the size curve.
    """

    name: str
    windows: dict[str, int]
    default_windows: int
    depths: Sequence[int]


QUICK = Plan("quick", {"totalsegmentator-3mm": 2}, 1, (75, 150, 225, 300))
FULL = Plan("full", {"totalsegmentator-3mm": 8}, 4, (75, 150, 300, 600))


def run_bench(
    plan: Plan,
    *,
    model: str,
    threads: int,
    precision: str = "float32",
    peers: Sequence[str] = (TOTALSEGMENTATOR,),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure everything.

    Our own run comes first and once more at the end, and the cheaper one counts: with another load in between, the two
    would differ, and the report shows both.

    Args:
        plan: `QUICK` or `FULL`.
        model: Name or folder.
        threads: Of each process.
        precision: Of our encoding and prompts; `"auto"` is resolved once, before anything is measured.
        peers: Other pipelines, each the reference `module:NAME` of a `Peer`.
        say: Told what is being measured.

    Returns:
        The report, as JSON can hold it.
    """
    began = time.perf_counter()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="dsm-bench-") as folder:
        scan = Path(folder, "phantom.nii.gz")
        say("making the phantom")
        volume = phantom_ct()
        write_nifti(scan, CroppedArray(volume.array, (0, 0, 0)), volume.shape, volume.affine)
        del volume
        job = partial(measure, threads=threads)
        in_use = precision
        if precision == AUTO:
            say("the fastest precision")
            in_use = job("precision", model=model)
        own = partial(job, "run", model=model, scan=str(scan), out=folder, precision=in_use)
        say("convolution peak")
        peaks = [job("peak")]
        say(f"{model}, from file to file")
        runs = [own()]
        others = []
        for reference in peers:
            peer: Peer = pkgutil.resolve_name(reference)
            most = plan.windows.get(peer.name, plan.default_windows)
            say(f"{peer.title}, {most} window(s)")
            others.append(job("peer", peer=reference, scan=str(scan), out=folder, num_windows=most))
        say(f"{model} with 1 to {max(PROMPT_COUNTS)} prompts")
        prompts = job("prompts", model=model, counts=PROMPT_COUNTS, precision=in_use)
        say(f"{model} on scans of {', '.join(map(str, plan.depths))} slices")
        sizes = job("sizes", model=model, depths=plan.depths, precision=in_use)
        say(f"{model}, once more")
        runs.append(own())
        peaks.append(job("peak"))
    best = min(runs, key=lambda row: row["cpu_s"])
    report = {
        "bench_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan.name,
        "precision": in_use,
        "requested_precision": precision,
        "versions": {"dsm": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": {
            "processor": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "threads": threads,
            "load_before": load,
            "conv_peak_gflops": max(peaks),
            "conv_peaks_gflops": peaks,
        },
        "volume": {"shape": SHAPE, "spacing_mm": SPACING_MM},
        "rows": [best, *others],
        "own_runs_cpu_s": [row["cpu_s"] for row in runs],
        "curves": {"prompts": prompts, "slices": sizes},
        "seconds": time.perf_counter() - began,
    }
    report["ratios"] = ratios(report)
    return report
