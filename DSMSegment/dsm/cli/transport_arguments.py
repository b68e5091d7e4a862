"""Arguments of the commands that listen: certificate, key, and the permission to do without."""

from __future__ import annotations

import argparse
from pathlib import Path

from dsm.core.loopback import is_loopback
from dsm.errors import ConfigError


def add_transport_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate (PEM) for HTTPS")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its private key (PEM)")
    parser.add_argument(
        "--plain-http", action="store_true", help="allow other machines without TLS: behind a proxy that has it"
    )


def check_transport(options: argparse.Namespace) -> None:
    """Check that nothing crosses a network unencrypted unless that was asked for.

    Raises:
        ConfigError: If it would, or a file is missing.
    """
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("HTTPS needs a certificate and its key.", hint="Give --tls-cert and --tls-key.")
    for path in (options.tls_cert, options.tls_key):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path} does not exist.", hint="Check the path.")
    if options.tls_cert is None and not options.plain_http and not is_loopback(options.host):
        raise ConfigError(
            f"Tokens and scans would cross the network to {options.host} unencrypted.",
            code="config.no_tls",
            hint="Give --tls-cert and --tls-key, or --plain-http behind a proxy that has them.",
        )
