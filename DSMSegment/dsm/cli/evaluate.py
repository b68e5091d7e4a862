"""`dsm evaluate`: accuracy of a model on a labelled data set."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import check_output, require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.errors import InputError


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate",
        epilog="Example: dsm evaluate DATASET --split validation --output report.json",
        parents=parents,
        help="measure masks, lesions and rankings on a labelled data set",
    )
    parser.add_argument("dataset", metavar="DATASET_DIR", type=Path, help="folder with dataset.json, or this file")
    add_model_argument(parser)
    parser.add_argument("--cases", metavar="A,B", help="ids of cases; by default all")
    parser.add_argument("--split", choices=("training", "validation"), help="only these cases")
    parser.add_argument("--prompts", metavar="TEXT", help="names, separated by `;`; by default all that are annotated")
    parser.add_argument(
        "--absent", metavar="TEXT", help="names, separated by `;`, that occur in no case: measure false positives"
    )
    parser.add_argument(
        "--unseen", metavar="TEXT", help="trained names, separated by `;`, to answer as if their labels were not shown"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps or auto (default: %(default)s)")
    add_precision_argument(parser, default="float32")
    parser.add_argument("--fast", action="store_true", help="leave out the visual prompts of tumors")
    parser.add_argument("--guess", action="store_true", help="let the network guess at names that it has not learned")
    parser.add_argument("--montages", metavar="DIR", type=Path, help="also draw the masks of each case")
    parser.add_argument(
        "--compare", metavar="FILE", type=Path, help="another report: also report the paired differences to it"
    )
    parser.add_argument(
        "--clicks", metavar="N", type=int, help="measure masks after 1 to N simulated clicks on each object (1 to 10)"
    )
    parser.add_argument(
        "--click-model",
        metavar="NAME",
        help="click network, name or folder (default: the one in the folder of --model)",
    )
    parser.add_argument(
        "--no-text-prior", action="store_true", help="with --clicks: leave the model out, click on the image alone"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="report, a JSON file; a Markdown file and a picture go beside it",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the mean Dice of each label, write the report."""
    check_output(options.output, suffixes=(".json",))
    require_package("monai", extra="train")
    require_package("matplotlib", extra="train")
    if options.clicks is not None:
        return _run_clicks(options)
    other = _report(options.compare) if options.compare else None
    from dsm.evaluation.evaluate import evaluate_dataset

    report = evaluate_dataset(
        options.dataset,
        model=options.model,
        cases=_split(options.cases, ","),
        prompts=_split(options.prompts, ";"),
        absent=_split(options.absent, ";") or (),
        unseen=_split(options.unseen, ";") or (),
        split=options.split,
        out=options.output,
        montages=options.montages,
        device=options.device,
        precision=options.precision,
        fast=options.fast,
        guess=options.guess,
        compare_with=other,
    )
    for name, label in report["labels"].items():
        volume = f"{_text(label['false_positive_ml'])} ml where it is not" if "false_positive_ml" in label else "-"
        print(f"{name:32} {_text(label['dice']) if 'dice' in label else volume}")
    print(f"{'mean':32} {_text(report['mean_dice'])}")
    if comparison := report.get("comparison"):
        print(f"{'minus ' + comparison['other']:32} {_text(comparison['mean_dice'])}")
    return 0


def _run_clicks(options: argparse.Namespace) -> int:
    """Click on every object, print the mean Dice after 1, 2, 3, 5 clicks, write the report."""
    from dsm.evaluation.click_report import click_table, several_lesions_text, write_click_report
    from dsm.evaluation.evaluate_clicks import evaluate_clicks
    from dsm.inference.click_scan import ClickSegmenter
    from dsm.inference.segmenter import Segmenter

    logging.getLogger("dsm").setLevel(logging.INFO)
    report = evaluate_clicks(
        options.dataset,
        click_model=ClickSegmenter.from_folder(options.click_model or options.model),
        clicks=options.clicks,
        model=None
        if options.no_text_prior
        else Segmenter.from_pretrained(options.model, device=options.device, precision=options.precision),
        cases=_split(options.cases, ","),
        names=_split(options.prompts, ";"),
        split=options.split,
        montages=options.montages,
    )
    write_click_report(report, options.output)
    print(click_table(report))
    if text := several_lesions_text(report):
        print(text)
    return 0


def _report(path: Path) -> dict[str, Any]:
    """Read another report before the long work begins."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        names = [row["dice"] for case in report["cases"].values() for row in case.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a report: {error!r}.", hint="Give the JSON of `dsm evaluate`.") from error
    if not names:
        raise InputError(f"{path} has no cases.", hint="Give the JSON of `dsm evaluate`.")
    return dict(report)


def _split(text: str | None, separator: str) -> list[str] | None:
    return [part.strip() for part in text.split(separator) if part.strip()] if text else None


def _text(interval: dict[str, float] | None) -> str:
    """A name that no case contains has no Dice."""
    if interval is None:
        return "-"
    return f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})  n={interval['n']}"
