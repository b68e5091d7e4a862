"""`dsm worker`: serve a host program over standard input and output."""

from __future__ import annotations

import argparse
import logging
from typing import Any


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("worker", parents=parents, help="serve 3D Slicer or another host program")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001  (all commands look alike)
    """Run until the host says `shutdown` or closes the pipe."""
    from dsm.worker import process

    # The worker's log goes its own way; Python ignores a second configuration while the first one's handlers are there.
    logging.getLogger().handlers.clear()
    return process.main()
