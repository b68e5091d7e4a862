"""`dsm web`: the workflow in a browser."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

from dsm.cli.dicomweb_arguments import add_token_file_argument, local_scan, scan_source
from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.transport_arguments import add_transport_arguments, check_transport
from dsm.errors import ImageError


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "web",
        epilog="Example: dsm web scan.nii.gz",
        parents=parents,
        help="segment in a browser, without the Slicer application",
        description="Text-prompted segmentation in a browser. Research use only, not a medical device.",
    )
    parser.add_argument(
        "scan",
        metavar="SCAN",
        nargs="?",
        type=scan_source,
        help="NIfTI, NRRD or MHA file, DICOM series folder, or DICOMweb address of a series (default: a chest CT)",
    )
    parser.add_argument("--series", metavar="UID", help="which DICOM series (default: the page asks)")
    add_model_argument(parser)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: %(default)s)")
    add_precision_argument(parser)
    parser.add_argument("--modality", choices=("CT", "MR"), help="of SCAN; by default what the file says or looks like")
    parser.add_argument(
        "--remote",
        metavar="URL",
        help="let a server segment (`dsm serve`), with the token of $DSM_REMOTE_TOKEN; the page asks before it sends a "
        "scan there, and --model and --device are the server's own",
    )
    parser.add_argument("--certificate", metavar="PEM", type=Path, help="of an authority to trust for a server")
    add_token_file_argument(parser)
    parser.add_argument("--port", type=int, default=8080, help="0 takes any that is free (default: %(default)s)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this computer only); all others need the token that is "
        "printed, or that of $DSM_WEB_TOKEN",
    )
    add_transport_arguments(parser)
    parser.add_argument(
        "--max-scenes", type=_count, default=4, metavar="N", help="browsers' scenes at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--idle-minutes",
        type=_minutes,
        default=30.0,
        metavar="M",
        help="close a scene that was not used for so long (default: %(default)g)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl+C."""
    require_package("aiohttp", extra="slicer")
    check_transport(options)
    if isinstance(options.scan, Path) and not options.scan.exists():
        raise ImageError(f"{options.scan} does not exist.", code="bad_image.missing", hint="Check the path.")
    from dsm.client.remote import Remote
    from DSMSegmentWeb.browser_sessions import SessionLimits
    from DSMSegmentWeb.serve import ServeOptions, serve

    with local_scan(options, "scan") as fetch:
        fetch()
        serve(
            ServeOptions(
                scan=options.scan,
                series=options.series,
                model=options.model,
                device=options.device,
                precision=options.precision,
                modality=options.modality or "",
                remote=Remote.at(options.remote, options.certificate, os.environ) if options.remote else None,
                host=options.host,
                certificate=options.tls_cert,
                key=options.tls_key,
                port=options.port,
                limits=SessionLimits(scenes=options.max_scenes, idle_s=60.0 * options.idle_minutes),
                opens_browser=not options.no_browser,
            )
        )
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more.")
    return number


def _minutes(text: str) -> float:
    minutes = float(text)
    if not (minutes > 0 and math.isfinite(minutes)):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0.")
    return minutes
