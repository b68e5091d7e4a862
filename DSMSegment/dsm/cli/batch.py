"""`dsm batch`: the same prompts on every scan of a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.dicomweb_arguments import add_dicomweb_arguments, addresses_of, open_server, scan_source
from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.prompt_argument import add_prompt_argument
from dsm.cli.segment_options import add_segment_options, segment_options
from dsm.io.formats import DICOM_SEG, FORMATS, IN_ARCHIVES, NAMES, SEG_NRRD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.cohort.case import CohortCase
    from dsm.cohort.outcome import Outcome
    from dsm.cohort.run import RunCases
    from dsm.io.dicomweb_address import DicomwebAddress

EXIT_SOME_FAILED = 3

_SEND_HINT = "Send the files of `segmentations` by `dsm dicomweb send FILE ... --to ADDRESS`."


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "batch",
        epilog='Example: dsm batch SCANS --prompt "liver; spleen" --output RESULTS',
        parents=parents,
        help="segment every scan of a folder",
        description="Segment what prompts name in every DICOM series (CT, MR) and image file below a folder. Writes "
        "masks, the tables segments and lesions (.csv and .parquet), and pages of pictures. Run it again to continue "
        "after a stop.",
    )
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=scan_source,
        help="folder of DICOM series and image files, DICOMweb address of a series, study or search, or .txt file "
        "with such an address a line",
    )
    add_prompt_argument(parser)
    parser.add_argument(
        "--clicks",
        metavar="FILE.csv",
        type=Path,
        help="points that give the clicked objects; columns case,name,r,a,s,inside (see docs/how-to/clicks.md)",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--format",
        choices=("auto", *NAMES),
        default="auto",
        help=f"of the masks (default: auto, which is {DICOM_SEG.name} for DICOM and {SEG_NRRD.name} for files)",
    )
    add_model_argument(parser)
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
    parser.add_argument(
        "--send", action="store_true", help="also store each result, in DICOM, on the DICOMweb server of its scan"
    )
    parser.add_argument("--retry-failed", action="store_true", help="do again what failed in an earlier run")
    add_dicomweb_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the options, then run all cases."""
    from dsm.cohort.case_clicks import read_case_clicks
    from dsm.cohort.run import run_cohort
    from dsm.cohort.settings import CohortSettings
    from dsm.errors import InputError
    from dsm.models.learned_elsewhere import models_that_learned, other_models
    from dsm.models.store import find_model, no_click_network, verify_model
    from dsm.text.prompt import parse_prompts

    require_package("PIL", extra="cohort")
    auto = (DICOM_SEG,) if options.format == "auto" else ()
    for one in (*auto, *(one for one in FORMATS if one.name == options.format)):
        if one.package:
            require_package(one.package, extra=one.extra)
    if options.workers < 1:
        raise InputError(f"There cannot be {options.workers} workers.", code="input.workers", hint="Give 1 or more.")
    clicks = read_case_clicks(options.clicks) if options.clicks is not None else ()
    entry = verify_model(find_model(options.model))
    if clicks and not entry.has_clicks:
        raise no_click_network(entry.name)
    names = [*options.prompt, *(one.name for one in clicks)]
    prompts = parse_prompts(names) if names else []
    others = models_that_learned(prompts, entry, other_models(entry.path), modality=options.modality or "")
    settings = CohortSettings(
        prompts=tuple(options.prompt),
        clicks=clicks,
        model=options.model,
        model_sha256=entry.digest,
        other_models=tuple(one.digest for one in others),
        options=segment_options(options),
        modality=options.modality,
        precision=options.precision,
        format=options.format,
        send=options.send,
    )
    scans: Path | list[CohortCase] = options.input
    if addresses := addresses_of(options.input):
        scans, run_cases = _archive(options, addresses)
    elif options.send:
        raise InputError("--send needs DICOMweb addresses as INPUT.", code="dicomweb.address", hint=_SEND_HINT)
    else:
        run_cases = _engine(options.engine)
    devices = [name.strip() for name in options.device.split(",") if name.strip()] * options.workers
    summary = run_cohort(
        scans,
        options.output,
        settings,
        devices=devices,
        run_cases=run_cases,
        retry_failed=options.retry_failed,
        on_outcome=_say,
    )
    num = len(summary.outcomes)
    earlier = f", {summary.num_skipped} of the {num} in an earlier run" if summary.num_skipped else ""
    print(
        f"{num} scan{'s' * (num != 1)}: {num - summary.num_failed} segmented, {summary.num_failed} failed{earlier}; "
        f"this run took {summary.seconds:.1f} s."
    )
    if summary.num_failed:
        print("The table says why; --retry-failed does those again.")
    for file in summary.files:
        print(file)
    return EXIT_SOME_FAILED if summary.num_failed else 0


def _archive(options: argparse.Namespace, addresses: Sequence[DicomwebAddress]) -> tuple[list[CohortCase], RunCases]:
    """Return the series that the addresses name or find, and the engine that fetches them."""
    from functools import partial

    from dsm.cohort.case import CohortCase
    from dsm.cohort.local_engine import run_locally
    from dsm.errors import ImageError, InputError

    if options.engine != "local":
        raise InputError("Only --engine local reads from a server.", hint="Fetch the series by `dsm dicomweb get`.")
    if options.send and options.format not in ("auto", *(one.name for one in IN_ARCHIVES)):
        storable = " or ".join(one.label for one in IN_ARCHIVES)
        raise InputError(f"--send stores {storable}, not {options.format}.", hint="Leave out --format.")
    if len({address.server for address in addresses}) > 1:
        raise InputError("The addresses are of several servers.", hint="Run `dsm batch` for each of them.")
    server = open_server(options, addresses[0])
    found = {
        one.address.series: one.address
        for address in addresses
        for one in server.find_series(address, modalities=("CT", "MR"))
    }
    if not found:
        raise ImageError(
            f"There is no CT or MR series at {addresses[0]}.",
            code="bad_image.no_scan",
            hint="`dsm dicomweb find` lists what the server has.",
        )
    cases = [CohortCase.on_server(address) for address in found.values()]
    return cases, partial(run_locally, archive=server)


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
