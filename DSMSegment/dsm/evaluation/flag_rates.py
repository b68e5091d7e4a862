"""Measure how often wrong and right results are flagged: `python -m dsm.evaluation.flag_rates RECIPE`.

Learned names in validation cases, as they are and read wrongly (`dsm.evaluation.corrupted_scans`); and all other names
of the vocabulary, which should have no mask. Rows are kept in a file, one a line, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dsm.core.boxes import CroppedArray
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.name_status import NameKind
from dsm.core.options import SegmentOptions
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import DSMError, InputError
from dsm.evaluation.calibrate import GOOD_DICE, LabelledSet, labelled_sets
from dsm.evaluation.corrupted_scans import corrupted_scans
from dsm.evaluation.evaluate import exact_prompt, read_case
from dsm.evaluation.json_lines import append_lines, read_lines
from dsm.evaluation.mask_pair import MaskPair, overlap
from dsm.inference.segmenter import Segmenter
from dsm.io.manifest import CaseEntry, read_manifest
from dsm.text.vocabulary import load_vocabulary

logger = logging.getLogger(__name__)

RIGHT_DICE = 0.8
FLAG = "Check: "
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One name in one form of a scan.

    Args:
        case: Set, case and variant.
        name: Of the vocabulary; empty where the scan was refused.
        kind: `NameKind`, or `"refused"`.
        found: Whether there is a mask.
        dice: Of the mask; None where the name is not annotated.
        flags: Sentences that say that the result may be wrong, or why the scan was refused.
    """

    case: tuple[str, str, str]
    name: str
    kind: str
    found: bool
    dice: float | None
    flags: tuple[str, ...]


def collect(
    segmenter: Segmenter,
    root: Path,
    sets: Sequence[LabelledSet],
    *,
    num_cases: int = 1,
    done: frozenset[tuple[str, str, str]] = frozenset(),
) -> Iterator[list[FlagRow]]:
    """Segment validation cases in their right and wrong forms.

    Args:
        segmenter: With its calibration.
        root: Folder of the sets.
        sets: Where to look.
        num_cases: Most validation cases a set.
        done: Variants to leave out.

    Yields:
        The rows of a variant.

    Raises:
        InputError: If a set has no validation case.
    """
    for one in sets:
        entries = [entry for entry in read_manifest(root / one.folder) if entry.validation][:num_cases]
        if not entries:
            raise InputError(f"{one.folder} has no validation case.", hint="Leave it out of the recipe.")
        for entry in entries:
            for variant, image, label in corrupted_scans(*read_case(entry)):
                case = (one.folder, entry.case_id, variant)
                if case not in done:
                    logger.info("%s", ", ".join(case))
                    yield _rows(segmenter, case, entry, image, label)


def _rows(
    segmenter: Segmenter, case: tuple[str, str, str], entry: CaseEntry, image: Volume, label: np.ndarray
) -> list[FlagRow]:
    try:
        scan = segmenter.encode(image)
    except InputError as error:
        return [FlagRow(case, "", REFUSED, found=False, dice=None, flags=(error.one_line,))]
    learned = segmenter.config.trained
    names = [structure.name for structure in load_vocabulary().structures if structure.name not in learned]
    asked = [*learned, *names] if case[2] == "plain" else learned
    results = scan.segment([exact_prompt(name) for name in asked], SegmentOptions(fast=True))
    return [_row(case, entry, image, label, result) for result in results]


def _row(
    case: tuple[str, str, str], entry: CaseEntry, image: Volume, label: np.ndarray, result: PromptResult
) -> FlagRow:
    name = result.prompt.name
    kind = result.name_status.kind if result.name_status else NameKind.UNKNOWN
    dice = None
    if result.found and name in entry.targets:
        truth = CroppedArray.from_mask(np.isin(label, entry.targets[name]))
        dice = round(overlap(MaskPair.of(truth, result.mask, image.spacing_mm)).dice or 0.0, 4)
    flags = tuple(warning for warning in result.warnings if warning.startswith(FLAG))
    return FlagRow(case, name, kind.value, result.found, dice, flags)


def flag_rates(rows: Sequence[FlagRow]) -> dict[str, Any]:
    """Summarise rows: flagged shares of wrong and of right results, and masks of names that were not learned.

    Returns:
        `wrong` (Dice below 0.5 in any form) and `right` (Dice of 0.8 or more, in the plain form): `num`, `flagged`,
        `share`, and for wrong ones the same `by_variant`; `refused`, the variants that were; `unlearned`, for each kind
        of name `num`, `found` and `share`.
    """
    learned = [row for row in rows if row.kind == NameKind.LEARNED and row.found and row.dice is not None]
    wrong = [row for row in learned if row.dice is not None and row.dice < GOOD_DICE]
    right = [row for row in learned if row.dice is not None and row.dice >= RIGHT_DICE and row.case[2] == "plain"]
    variants = dict.fromkeys(row.case[2] for row in rows)
    unlearned = {kind: [row for row in rows if row.kind == kind] for kind in (NameKind.RELATED, NameKind.UNKNOWN)}
    return {
        "wrong": _flagged(wrong)
        | {"by_variant": {variant: _flagged([row for row in wrong if row.case[2] == variant]) for variant in variants}},
        "right": _flagged(right),
        "refused": dict(Counter(row.case[2] for row in rows if row.kind == REFUSED)),
        "unlearned": {kind.value: _share("found", [row.found for row in some]) for kind, some in unlearned.items()},
    }


def _flagged(rows: Sequence[FlagRow]) -> dict[str, Any]:
    return _share("flagged", [bool(row.flags) for row in rows])


def _share(what: str, values: Sequence[bool]) -> dict[str, Any]:
    return {"num": len(values), what: sum(values), "share": round(sum(values) / len(values), 3) if values else None}


def read_rows(path: Path) -> list[FlagRow]:
    """Read rows of an earlier run; none where there is no file."""
    return [
        FlagRow(**{**value, "case": tuple(value["case"]), "flags": tuple(value["flags"])}) for value in read_lines(path)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect rows and print their summary as JSON."""
    parser = argparse.ArgumentParser(prog="python -m dsm.evaluation.flag_rates", description=__doc__)
    parser.add_argument("recipe", type=Path, help="YAML with `data_root` and `sets`, see recipes/calibration.yaml")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--rows", type=Path, required=True, help="file of rows; those in it are not made again")
    parser.add_argument("--sets", nargs="+", metavar="FOLDER", help="of the recipe; by default all")
    parser.add_argument("--cases", type=int, default=1, help="validation cases of each set (default: %(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = yaml.safe_load(options.recipe.read_text(encoding="utf-8"))
        sets = [one for one in labelled_sets(recipe["sets"]) if not options.sets or one.folder in options.sets]
        rows = read_rows(options.rows)
        done = frozenset(row.case for row in rows)
        segmenter = Segmenter.from_pretrained(options.model, others=())
        for new in collect(segmenter, Path(recipe["data_root"]), sets, num_cases=options.cases, done=done):
            append_lines(options.rows, new)
            rows += new
    except DSMError as error:
        parser.exit(1, f"{error.one_line}\n")
    print(json.dumps(flag_rates(rows), indent=1))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
