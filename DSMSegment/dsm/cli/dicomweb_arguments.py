"""DICOMweb arguments, and the scan of an address as a folder, for every command that takes a scan."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dsm.cli.output_check import require_package
from dsm.cli.progress_bar import ProgressBar
from dsm.errors import DSMError, InputError

if TYPE_CHECKING:
    from dsm.io.dicomweb import DicomwebServer
    from dsm.io.dicomweb_access import DicomwebAccess
    from dsm.io.dicomweb_address import DicomwebAddress


def add_dicomweb_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what access to a DICOMweb server needs."""
    group = parser.add_argument_group("DICOMweb")
    add_token_file_argument(group)
    group.add_argument("--certificate", metavar="PEM", type=Path, help="of an authority to trust for the server")


def add_token_file_argument(parser: argparse._ActionsContainer) -> None:
    """Add the argument."""
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="of a DICOMweb server: file with a token or NAME:PASSWORD, readable by you alone (default: "
        "$DSM_DICOMWEB_TOKEN)",
    )


def scan_source(text: str) -> Path | DicomwebAddress:
    """Return a path, or the address that a text is; for `argparse`."""
    from dsm.io.dicomweb_address import is_address

    return dicomweb_address(text) if is_address(text) else Path(text)


def dicomweb_address(text: str) -> DicomwebAddress:
    """Return an address; for `argparse`, whose own message would repeat a password."""
    from dsm.io.dicomweb_address import DicomwebAddress

    try:
        return DicomwebAddress.parse(text)
    except DSMError as error:
        raise argparse.ArgumentTypeError(error.one_line) from None


def addresses_of(source: Path | DicomwebAddress) -> list[DicomwebAddress]:
    """Return the addresses of an argument: itself, or the lines of a `.txt` file up to the first tab; else none.

    Raises:
        InputError: If a line is no address, or the file cannot be read.
    """
    from dsm.io.dicomweb_address import DicomwebAddress

    if not isinstance(source, Path):
        return [source]
    if source.suffix != ".txt" or not source.is_file():
        return []
    try:
        lines = [line.partition("\t")[0].strip() for line in source.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} cannot be read ({error}).", hint="Check the file.") from error
    found = [DicomwebAddress.parse(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{source} has no address.", hint="Write one a line; `dsm dicomweb find` prints them.")
    return found


def open_server(options: argparse.Namespace, address: DicomwebAddress) -> DicomwebServer:
    """Return the server of an address, with the access that the arguments give.

    Raises:
        DSMError: If the token or the certificate cannot be used, or a package is missing.
    """
    require_package("dicomweb_client", extra="dicomweb")
    from dsm.io.dicomweb import DicomwebServer

    return DicomwebServer(address.server, dicomweb_access(options))


def dicomweb_access(options: argparse.Namespace) -> DicomwebAccess:
    """Return the access that the arguments and the environment give.

    Raises:
        ConfigError: If the token or the certificate cannot be used.
    """
    from dsm.io.dicomweb_access import DicomwebAccess

    return DicomwebAccess.of(os.environ, token_file=options.token_file, certificate=options.certificate)


@contextmanager
def local_scan(options: argparse.Namespace, name: str = "input") -> Iterator[Callable[[], None]]:
    """Replace an address by a temporary folder, which the yielded function fills; a path stays as it is.

    Args:
        options: Whose attribute `name` is the path or the address.
        name: Of the attribute.
    """
    address = getattr(options, name)
    if address is None or isinstance(address, Path):
        yield lambda: None
        return
    from dsm.io.dicomweb import naming_address

    server = open_server(options, address)
    with tempfile.TemporaryDirectory(prefix="dsm-dicomweb-") as folder:
        setattr(options, name, Path(folder))

        def fetch() -> None:
            chosen = server.one_series(address.at(address.study, options.series) if options.series else address)
            with ProgressBar({"download": 100}) as progress:
                server.fetch(chosen, Path(folder), progress=progress)

        with naming_address(Path(folder), address):
            yield fetch
