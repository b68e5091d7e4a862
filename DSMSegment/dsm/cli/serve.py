"""`dsm serve`: segmentation for several users of one machine, over HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from pathlib import Path
from typing import Any

from dsm.cli.output_check import require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.errors import ConfigError


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        parents=parents,
        help="serve several users over HTTP",
        description="Serve several users over HTTP. Volumes that were uploaded are removed when they were not used for "
        "a while, and all of them at the end. Without --tokens, one token is drawn and printed.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8470, help="port, 0 for any (default: %(default)s)")
    parser.add_argument("--tokens", metavar="FILE", type=Path, help="lines `name:token`, readable by you alone")
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate (PEM) for HTTPS")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its private key (PEM)")
    parser.add_argument(
        "--plain-http", action="store_true", help="allow other machines without TLS: behind a proxy that has it"
    )
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="one, or several with commas: cuda:0,cuda:1 (default: cpu)")
    add_precision_argument(parser)
    parser.add_argument("--workers", type=int, default=1, help="worker processes a device (default: %(default)s)")
    parser.add_argument(
        "--ray", action="store_true", help="workers on a Ray cluster: that of RAY_ADDRESS, else one of this machine"
    )
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
    _check_transport(options)
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
        on_ray=options.ray,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def _check_transport(options: argparse.Namespace) -> None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("HTTPS needs a certificate and its key.", hint="Give --tls-cert and --tls-key.")
    for path in (options.tls_cert, options.tls_key):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path} does not exist.", hint="Check the path.")
    if options.tls_cert is None and not options.plain_http and not _is_loopback(options.host):
        raise ConfigError(
            f"Tokens and scans would cross the network to {options.host} unencrypted.",
            code="config.no_tls",
            hint="Give --tls-cert and --tls-key, or --plain-http behind a proxy that has them.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
