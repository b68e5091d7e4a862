"""`dsm batch`: the same prompts on every scan of a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.output_check import require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.prompt_argument import add_prompt_argument
from dsm.cli.segment_options import add_segment_options, segment_options
from dsm.io.formats import DICOM_SEG, FORMATS, NAMES, SEG_NRRD

if TYPE_CHECKING:
    from dsm.cohort.outcome import Outcome
    from dsm.cohort.run import RunCases

EXIT_SOME_FAILED = 3


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "batch",
        parents=parents,
        help="segment every scan of a folder",
        description="Segment what prompts name in every DICOM series (CT, MR) and image file below a folder. Writes "
        "masks, a table segments.csv (and .parquet), and pages of pictures. Run it again to continue after a stop.",
    )
    parser.add_argument("input", metavar="INPUT", type=Path, help="folder of DICOM series and image files")
    add_prompt_argument(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--format",
        choices=("auto", *NAMES),
        default="auto",
        help=f"of the masks (default: auto, which is {DICOM_SEG.name} for DICOM and {SEG_NRRD.name} for files)",
    )
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    add_segment_options(parser)
    parser.add_argument("--modality", choices=("CT", "MR"), help="by default what the files say or look like")
    parser.add_argument("--workers", type=int, default=1, help="worker processes a device (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="one, or several with commas: cuda:0,cuda:1 (default: cpu)")
    add_precision_argument(parser)
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine, or a Ray cluster (RAY_ADDRESS) with the same paths (default: local)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="do again what failed in an earlier run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the options, then run all cases."""
    from dsm.cohort.run import run_cohort
    from dsm.cohort.settings import CohortSettings
    from dsm.errors import InputError
    from dsm.models.store import find_model, verify_model

    require_package("PIL", extra="cohort")
    auto = (DICOM_SEG,) if options.format == "auto" else ()
    for one in (*auto, *(one for one in FORMATS if one.name == options.format)):
        if one.package:
            require_package(one.package, extra=one.extra)
    if options.workers < 1:
        raise InputError(f"There cannot be {options.workers} workers.", code="input.workers", hint="Give 1 or more.")
    settings = CohortSettings(
        prompts=tuple(options.prompt),
        model=options.model,
        model_sha256=verify_model(find_model(options.model)).digest,
        options=segment_options(options),
        modality=options.modality,
        precision=options.precision,
        format=options.format,
    )
    devices = [name.strip() for name in options.device.split(",") if name.strip()] * options.workers
    summary = run_cohort(
        options.input,
        options.out,
        settings,
        devices=devices,
        run_cases=_engine(options.engine),
        retry_failed=options.retry_failed,
        on_outcome=_say,
    )
    num = len(summary.outcomes)
    print(
        f"{num - summary.num_failed} of {num} cases segmented, {summary.num_failed} failed, {summary.num_skipped} were "
        f"done before; {summary.seconds:.1f} s."
    )
    for file in summary.files:
        print(file)
    return EXIT_SOME_FAILED if summary.num_failed else 0


def _engine(name: str) -> RunCases:
    if name == "ray":
        require_package("ray", extra="ray")
        from dsm.cohort.ray_engine import run_on_ray

        return run_on_ray
    from dsm.cohort.local_engine import run_locally

    return run_locally


def _say(outcome: Outcome, done: int, total: int) -> None:
    from dsm.cohort.one_case import summary
    from dsm.cohort.outcome import OK

    what = summary(outcome) if outcome.status == OK else f"{outcome.error_code}: {outcome.error}"
    print(f"[{done}/{total}] {outcome.case}  {outcome.seconds:.1f} s  {what}", file=sys.stderr, flush=True)
