"""`dsm evaluate`: how good a model is on a labelled data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsm.cli.output_check import check_output, require_package


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("evaluate", parents=parents, help="measure Dice on a labelled data set")
    parser.add_argument("dataset", metavar="DATASET_DIR", type=Path, help="folder with dataset.json")
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    parser.add_argument("--cases", metavar="A,B", help="ids of cases; by default all")
    parser.add_argument("--split", choices=("training", "validation"), help="only these cases")
    parser.add_argument("--prompts", metavar="TEXT", help="names, separated by `;`; by default all that are annotated")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps or auto (default: %(default)s)")
    parser.add_argument("--montages", metavar="DIR", type=Path, help="also draw the masks of each case")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="report, a JSON file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the mean Dice of each label, write the report."""
    check_output(options.out, suffixes=(".json",))
    require_package("monai", extra="train")
    from dsm.evaluation.evaluate import evaluate_dataset

    report = evaluate_dataset(
        options.dataset,
        model=options.model,
        cases=_split(options.cases, ","),
        prompts=_split(options.prompts, ";"),
        split=options.split,
        out=options.out,
        montages=options.montages,
        device=options.device,
    )
    for name, label in report["labels"].items():
        print(f"{name:32} {_number(label['dice'])}  n={label['n']}")
    print(f"{'mean':32} {_number(report['mean_dice'])}")
    return 0


def _split(text: str | None, separator: str) -> list[str] | None:
    return [part.strip() for part in text.split(separator) if part.strip()] if text else None


def _number(dice: float | None) -> str:
    """A name that no case contains has no Dice."""
    return "-    " if dice is None else f"{dice:.3f}"
