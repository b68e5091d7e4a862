"""`dsm train`: train a model from a recipe."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from dsm.cli.output_check import require_package


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "train",
        epilog="Example: dsm train recipes/stage1-organs.yaml",
        parents=parents,
        help="train from a recipe, or go on where a run stopped",
    )
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="YAML file, e.g. recipes/stage1-organs.yaml")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder of the run; by default the recipe's")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train; the log goes to standard error and into the folder of the run."""
    require_package("monai", extra="train")
    logging.getLogger("dsm").setLevel(logging.INFO)
    from dsm.training.recipe import read_recipe

    if read_recipe(options.recipe).get("kind") == "clicks":
        from dsm.training.train_clicks import main
    else:
        from dsm.training.train import main
    folder = main(options.recipe, out=options.output)
    print(folder)
    return 0
