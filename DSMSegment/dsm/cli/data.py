"""`dsm data`: import public data sets and check manifests."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

# Repeated from `dsm.datasets.import_set`, which costs an import; a test holds them together.
LAYOUTS = ("msd", "btcv", "kits", "totalsegmentator", "amos", "flare", "pyradiomics", "freesurfer", "synthseg")

_FOUND_PROBLEMS = 2


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command and its two actions."""
    parser = subparsers.add_parser("data", help="import public data sets, check a data set")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    importing = actions.add_parser(
        "import",
        parents=parents,
        epilog="Example: dsm data import msd DIR OUT",
        help="write the manifest of a downloaded data set",
    )
    importing.add_argument("layout", choices=LAYOUTS, help="what was downloaded")
    importing.add_argument("folder", metavar="DIR", type=Path, help="where it lies")
    importing.add_argument("out", metavar="OUT", type=Path, help="folder for dataset.json and label maps that are new")
    importing.add_argument(
        "--split",
        choices=("training", "validation"),
        help="where all cases belong; by default, every fifth to validation",
    )
    importing.set_defaults(run=run_import)
    check = actions.add_parser(
        "check",
        parents=parents,
        epilog="Example: dsm data check DIR",
        help="look for errors, and for scans that occur twice",
    )
    check.add_argument("folders", metavar="DIR", type=Path, nargs="+", help="folder with dataset.json")
    check.set_defaults(run=run_check)


def run_import(options: argparse.Namespace) -> int:
    """Write the manifest and print what is in it."""
    logging.getLogger("dsm.datasets").setLevel(logging.INFO)
    from dsm.datasets.import_set import import_set

    manifest = import_set(options.layout, options.folder, options.out, split=options.split)
    for name in manifest["annotated"]:
        count = sum(name in case["present"] for case in manifest["cases"])
        print(f"{name:32} in {count} of {len(manifest['cases'])} cases")
    print(options.out / "dataset.json")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Print one problem a line; 2 if there is one."""
    from dsm.datasets.check_set import check_sets

    count = 0
    for problem in check_sets([folder.resolve() for folder in options.folders]):
        count += 1
        print(problem, flush=True)
    print(f"{count or 'No'} problem{'s' if count > 1 else ''} found.")
    return _FOUND_PROBLEMS if count else 0
