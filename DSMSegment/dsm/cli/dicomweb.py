"""`dsm dicomweb`: find, get and send what a DICOMweb server (a PACS) holds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsm.cli.batch import EXIT_SOME_FAILED
from dsm.cli.dicomweb_arguments import add_dicomweb_arguments, dicomweb_address, open_server
from dsm.cli.progress_bar import ProgressBar
from dsm.errors import DSMError, InputError, OutputError

_SEARCHES = (
    ("--patient", "PatientID", "ID", "patient ID"),
    ("--accession", "AccessionNumber", "NUMBER", "accession number"),
    ("--date", "StudyDate", "DATES", "study date, YYYYMMDD or YYYYMMDD-YYYYMMDD"),
    ("--modality", "Modality", "CT|MR", "modality"),
    ("--description", "SeriesDescription", "TEXT", "series description; * and ? stand for other text"),
)


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    parser = subparsers.add_parser("dicomweb", help="find, get and send series of a DICOMweb server (PACS)")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    find = actions.add_parser(
        "find",
        parents=parents,
        epilog="Example: dsm dicomweb find https://pacs.example/dicom-web --patient 4711",
        help="list CT and MR series with their addresses",
    )
    find.add_argument("address", metavar="ADDRESS", type=dicomweb_address, help="of the server or of a study")
    for flag, _, metavar, what in _SEARCHES:
        find.add_argument(flag, metavar=metavar, help=f"only this {what}")
    find.add_argument("--json", action="store_true", help="for programs")
    find.set_defaults(run=run_find)
    get = actions.add_parser(
        "get",
        parents=parents,
        epilog="Example: dsm dicomweb get https://pacs.example/dicom-web/studies/1.2.3/series/4.5.6 --output scan",
        help="fetch a series into a folder",
    )
    get.add_argument("address", metavar="ADDRESS", type=dicomweb_address, help="of a series")
    get.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="new or empty folder")
    get.set_defaults(run=run_get)
    send = actions.add_parser(
        "send",
        parents=parents,
        epilog="Example: dsm dicomweb send out.dcm --to https://pacs.example/dicom-web",
        help="store DICOM files, e.g. segmentations, on a server",
    )
    send.add_argument("files", metavar="FILE", type=Path, nargs="+", help="DICOM file")
    send.add_argument("--to", metavar="ADDRESS", type=dicomweb_address, required=True, help="of the server")
    send.set_defaults(run=run_send)
    for action in (find, get, send):
        add_dicomweb_arguments(action)


def run_find(options: argparse.Namespace) -> int:
    """Print one series a line: its address, and what it is."""
    asked = [(key, getattr(options, flag[2:])) for flag, key, _, _ in _SEARCHES if getattr(options, flag[2:])]
    address = replace(options.address, search=(*options.address.search, *asked))
    found = open_server(options, address).find_series(address)
    if options.json:
        rows = [
            {
                "address": str(one.address),
                "modality": one.modality,
                "description": one.description,
                "study_date": one.study_date,
                "images": one.num_instances,
            }
            for one in found
        ]
        print(json.dumps(rows, indent=1))
        return 0
    for one in found:
        print(f"{one.address}\t{one}")
    if not found:
        print("No CT or MR series was found.", file=sys.stderr)
    return 0


def run_get(options: argparse.Namespace) -> int:
    """Fetch a series; a folder that was made is removed again if that fails."""
    folder: Path = options.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not an empty folder.", code="output.is_file", hint="Choose another name.")
    server = open_server(options, options.address)
    address = server.one_series(options.address)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made ({error.strerror}).", hint="Check the path.") from error
    try:
        with ProgressBar({"download": 100}) as progress:
            server.fetch(address, folder, progress=progress)
    except BaseException:
        for file in folder.glob("*.dcm"):
            file.unlink()
        raise
    print(f"{sum(1 for _ in folder.glob('*.dcm'))} images in {folder}")
    return 0


def run_send(options: argparse.Namespace) -> int:
    """Store each file; one that is refused does not keep the others."""
    server = open_server(options, options.to)
    num_failed = 0
    for file in options.files:
        if not file.is_file():
            raise InputError(f"There is no file {file}.", hint="Check the path.")
    for file in options.files:
        try:
            server.store(file)
        except DSMError as error:
            num_failed += 1
            print(f"dsm: {file}: {error.one_line}", file=sys.stderr)
        else:
            print(f"stored {file}")
    return EXIT_SOME_FAILED if num_failed else 0
