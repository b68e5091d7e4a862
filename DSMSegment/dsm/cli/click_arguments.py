"""The options `--click` and `--click-outside`."""

from __future__ import annotations

import argparse
from functools import partial

from dsm.core.click import Click
from dsm.errors import DSMError


def add_click_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments; their common value `clicks` is a list of names and clicks in the order they were given."""
    group = parser.add_argument_group("clicks", "points in the patient, in mm: right, anterior, superior (RAS)")
    for flag, where, inside in (("--click", "inside of", True), ("--click-outside", "outside of", False)):
        group.add_argument(
            flag,
            dest="clicks",
            metavar="NAME=R,A,S",
            action="append",
            default=[],
            type=partial(_named_click, inside=inside),
            help=f"a point {where} the structure NAME, which gives the clicked object; may be repeated",
        )


def _named_click(text: str, *, inside: bool) -> tuple[str, Click]:
    name, _, place = text.rpartition("=")
    try:
        r, a, s = (float(number) for number in place.split(","))
        click = Click((r, a, s), inside)
        if name.strip():
            return name.strip(), click
    except (ValueError, DSMError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no click; write it as in schwannoma=12.5,-30,88")
