"""The option `--prompt`, shared by all commands that segment."""

from __future__ import annotations

import argparse


def add_prompt_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument; its value is a list of texts. With clicks it may be left out."""
    parser.add_argument(
        "-p",
        "--prompt",
        metavar="TEXT",
        action="append",
        default=[],
        help="what to segment; `;` separates prompts; may be repeated",
    )
