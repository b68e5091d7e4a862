"""`dsm bench`: cost of a run on this machine, beside TotalSegmentator at 3 mm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import check_output_folder, require_package
from dsm.cli.precision_argument import add_precision_argument


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        epilog="Example: dsm bench --quick",
        parents=parents,
        help="measure time and memory, beside TotalSegmentator (3 mm) in the same run",
        description="Measure time and memory on a synthetic CT, beside the network of TotalSegmentator (3 mm) with "
        "random weights.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two windows of the other network: some minutes (default)")
    size.add_argument("--full", action="store_true", help="more windows, larger scans")
    add_model_argument(parser)
    add_precision_argument(parser, default="float32")
    parser.add_argument(
        "--threads", type=int, default=1, help="of each measured process; CPU seconds compare best with 1 (default)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder for bench.json, bench.md and bench.png (default: none)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write the report where a folder is given."""
    if options.output is not None:
        check_output_folder(options.output)
        require_package("matplotlib", extra="train")
    import torch

    from dsm.bench.report import to_markdown, write_report
    from dsm.bench.run import FULL, QUICK, run_bench
    from dsm.core.precision import AUTO
    from dsm.inference.precision import check_precision
    from dsm.models.store import find_model, verify_model

    if options.precision != AUTO:
        check_precision(options.precision, torch.device("cpu"))
    verify_model(find_model(options.model))
    plan = FULL if options.full else QUICK
    report = run_bench(plan, model=options.model, threads=options.threads, precision=options.precision, say=_say)
    if options.output is not None:
        write_report(report, options.output)
    print(to_markdown(report))
    return 0


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)
