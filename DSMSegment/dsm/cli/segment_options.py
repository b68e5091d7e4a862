"""The options of a prompt run as arguments, for every command that takes prompts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from dsm.errors import InputError

if TYPE_CHECKING:
    from dsm.core.options import SegmentOptions


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides the masks."""
    parser.add_argument(
        "--threshold", type=_fraction, default=0.5, help="probability of a voxel inside (default: %(default)s)"
    )
    parser.add_argument(
        "--no-postprocess", action="store_true", help="keep every part of an organ, not the largest connected one alone"
    )
    parser.add_argument("--fast", action="store_true", help="leave out the diffusion prompts of tumors")
    parser.add_argument(
        "--guess",
        action="store_true",
        help="let the network guess at names that it has not learned; by default they have no mask",
    )


def segment_options(arguments: argparse.Namespace, **maps: Any) -> SegmentOptions:
    """Return the options that the arguments ask for; `maps` are further ones."""
    from dsm.core.options import SegmentOptions

    return SegmentOptions(
        threshold=arguments.threshold,
        postprocess=not arguments.no_postprocess,
        fast=arguments.fast,
        guess=arguments.guess,
        **maps,
    )


def _fraction(text: str) -> float:
    """Refuse a threshold while the command line is read, with the sentence that every other face says."""
    from dsm.core.options import check_threshold

    value = float(text)
    try:
        check_threshold(value)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return value
