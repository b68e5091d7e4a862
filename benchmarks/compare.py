"""The report of `dsm bench`, with more networks beside ours: `python -m benchmarks.compare [--full] [-o DIR]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dsm.bench.report import to_markdown, write_report
from dsm.bench.run import FULL, QUICK, TOTALSEGMENTATOR, run_bench
from dsm.core.default_model import DEFAULT_MODEL

NETWORKS = ("TOTALSEGMENTATOR_15MM", "SEGRESNET", "SWIN_UNETR", "DSM_REFERENCE")
SLOW_NETWORKS = ("VISTA3D", "VOXTELL")
_ONE_WINDOW_TAKES_A_MINUTE = {"voxtell": 1}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print the table, write the report where a folder is given; return the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--full", action="store_true", help="more windows, VISTA3D and VoxTell, larger scans")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each measured process (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, help="folder for bench.json, bench.md and bench.png (default: none)")
    options = parser.parse_args(arguments)
    names: tuple[str, ...] = NETWORKS
    plan = QUICK
    if options.full:
        names += SLOW_NETWORKS
        plan = replace(FULL, windows={**FULL.windows, **_ONE_WINDOW_TAKES_A_MINUTE})
    if "VOXTELL" in names and find_spec("voxtell") is None:
        _say("VoxTell is left out: the package voxtell is not installed")
        names = tuple(name for name in names if name != "VOXTELL")
    peers = [TOTALSEGMENTATOR, *(f"benchmarks.networks:{name}" for name in names)]
    report = run_bench(plan, model=options.model, threads=options.threads, peers=peers, say=_say)
    print(to_markdown(report))
    if options.out is not None:
        write_report(report, options.out)
    return report


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
