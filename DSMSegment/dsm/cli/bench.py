"""`dsm bench`: cost of a run on this machine, beside other networks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dsm.cli.output_check import check_output_folder, require_package


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        parents=parents,
        help="measure time and memory, beside other networks in the same run",
        description="Measure time and memory on a synthetic CT, beside other networks with random weights.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="few windows of each other network: about 5 minutes (default)"
    )
    size.add_argument("--full", action="store_true", help="more windows, more networks, larger scans")
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="of each measured process; CPU seconds compare best with 1 (default)"
    )
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, help="folder for bench.json, bench.md and bench.png (default: none)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write the report where a folder is given."""
    require_package("monai", extra="train")
    if options.out is not None:
        check_output_folder(options.out)
        require_package("matplotlib", extra="train")
    from dsm.bench.report import to_markdown
    from dsm.bench.run import FULL, QUICK, run_bench
    from dsm.models.store import find_model, verify_model

    verify_model(find_model(options.model))
    plan = FULL if options.full else QUICK
    report = run_bench(plan, model=options.model, threads=options.threads, say=_say)
    text = to_markdown(report)
    if options.out is not None:
        _write(report, text, options.out)
    print(text)
    return 0


def _write(report: dict[str, Any], text: str, folder: Path) -> None:
    from dsm.bench.figure import draw_bench

    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(text, encoding="utf-8")
    draw_bench(report, folder / "bench.png")


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)
