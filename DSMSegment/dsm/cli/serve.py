"""`dsm serve`: segmentation for several users of one machine, over HTTP."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.dicomweb_arguments import add_dicomweb_arguments, dicomweb_access, dicomweb_address
from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.transport_arguments import add_transport_arguments, check_transport
from dsm.errors import ConfigError

if TYPE_CHECKING:
    from dsm.io.dicomweb_access import DicomwebAccess


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        epilog="Example: dsm serve --device cuda:0 --tokens tokens",
        parents=parents,
        help="serve several users over HTTP",
        description="Serve several users over HTTP. Volumes that were uploaded are removed when they were not used for "
        "a while, and all of them at the end. Without --tokens, one token is drawn and printed.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8470, help="port, 0 for any (default: %(default)s)")
    parser.add_argument("--tokens", metavar="FILE", type=Path, help="lines `name:token`, readable by you alone")
    add_transport_arguments(parser)
    add_model_argument(parser)
    parser.add_argument("--device", default="cpu", help="one, or several with commas: cuda:0,cuda:1 (default: cpu)")
    add_precision_argument(parser)
    parser.add_argument("--workers", type=int, default=1, help="worker processes a device (default: %(default)s)")
    parser.add_argument(
        "--ray", action="store_true", help="workers on a Ray cluster: that of RAY_ADDRESS, else one of this machine"
    )
    parser.add_argument(
        "--archive",
        metavar="ADDRESS",
        type=dicomweb_address,
        help="DICOMweb server whose series clients may name, to have them segmented and the results stored there",
    )
    add_dicomweb_arguments(parser)
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where to keep voxels (default: temporary files)")
    parser.add_argument("--max-upload-mb", type=int, default=2048, help="largest volume (default: %(default)s)")
    parser.add_argument("--max-volumes", type=int, default=8, help="volumes a user (default: %(default)s)")
    parser.add_argument("--max-jobs", type=int, default=16, help="open jobs a user (default: %(default)s)")
    parser.add_argument(
        "--volume-idle", metavar="SECONDS", type=float, default=1800, help="lease of a volume (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the options, then serve until Ctrl+C."""
    for package in ("fastapi", "uvicorn", "httptools"):
        require_package(package, extra="server")
    if options.ray:
        require_package("ray", extra="ray")
    check_transport(options)
    access = _archive_access(options)
    if options.workers < 1:
        raise ConfigError(f"There cannot be {options.workers} workers.", hint="Give 1 or more.")
    from dsm.server.limits import Limits
    from dsm.server.run import serve

    limits = Limits(
        upload_bytes=options.max_upload_mb * 10**6,
        bytes_per_user=options.max_volumes * options.max_upload_mb * 10**6,
        volumes_per_user=options.max_volumes,
        jobs_per_user=options.max_jobs,
        volume_idle_s=options.volume_idle,
    )
    return serve(
        host=options.host,
        port=options.port,
        tokens=options.tokens,
        certificate=options.tls_cert,
        key=options.tls_key,
        model=options.model,
        devices=[name.strip() for name in options.device.split(",") if name.strip()] * options.workers,
        precision=options.precision,
        folder=options.folder,
        limits=limits,
        archive=options.archive.server if options.archive else "",
        archive_access=access,
        on_ray=options.ray,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def _archive_access(options: argparse.Namespace) -> DicomwebAccess:
    """Return the access to the archive; none without an archive, whatever the environment says."""
    from dsm.io.dicomweb_access import DicomwebAccess

    if options.archive is None:
        if options.token_file or options.certificate:
            raise ConfigError("--token-file and --certificate are for an archive.", hint="Give --archive ADDRESS.")
        return DicomwebAccess()
    if options.archive.study or options.archive.search:
        raise ConfigError("--archive is a whole server.", hint="Give https://HOST/dicom-web, without a study.")
    for package, extra in (("dicomweb_client", "dicomweb"), ("highdicom", "dicom")):
        require_package(package, extra=extra)
    return dicomweb_access(options)
