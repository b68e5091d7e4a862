"""The argument `--model`, which several commands have."""

from __future__ import annotations

import argparse

from dsm.core.default_model import DEFAULT_MODEL


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
