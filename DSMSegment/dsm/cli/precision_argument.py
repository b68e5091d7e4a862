"""The argument `--precision`, which several commands have."""

from __future__ import annotations

import argparse

from dsm.core.precision import AUTO, PRECISIONS


def add_precision_argument(parser: argparse.ArgumentParser, *, default: str = AUTO) -> None:
    """Add the argument."""
    parser.add_argument(
        "--precision",
        choices=(AUTO, *PRECISIONS),
        default=default,
        help="of the encoding; auto is the fastest on this processor, measured once in a few seconds "
        "(default: %(default)s)",
    )
