"""Fit what tells a scan from its mirror image: `python -m dsm.evaluation.fit_laterality RECIPE`.

On training cases, so that the validation cases can measure it. Run it again when the weights change, after
`dsm.evaluation.calibrate`.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import yaml

from dsm.core.default_model import DEFAULT_MODEL
from dsm.errors import ConfigError, DSMError, InputError
from dsm.evaluation.corrupted_scans import corrupted_scans
from dsm.evaluation.evaluate import read_case
from dsm.evaluation.json_lines import append_lines, read_lines
from dsm.evaluation.logistic_fit import fit_logistic
from dsm.inference.organ_order import laterality_features
from dsm.inference.segmenter import Segmenter
from dsm.io.manifest import read_manifest
from dsm.models.store import find_model, write_manifest

logger = logging.getLogger(__name__)

_PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class LateralityRow:
    """One scan, as it is or mirrored.

    Args:
        case: Set, case and variant.
        features: See `laterality_features`; empty where the upper abdomen is not in view.
    """

    case: tuple[str, str, str]
    features: tuple[float, ...]


def collect(
    segmenter: Segmenter, root: Path, folders: Sequence[str], *, done: frozenset[tuple[str, str]] = frozenset()
) -> Iterator[list[LateralityRow]]:
    """Encode training cases and their mirror images.

    Args:
        segmenter: Of the model.
        root: Folder of the sets.
        folders: Sets of the abdomen.
        done: Set and case of those to leave out.

    Yields:
        Both rows of a case.
    """
    for folder in folders:
        for entry in read_manifest(root / folder):
            if entry.validation or (folder, entry.case_id) in done:
                continue
            logger.info("%s, %s", folder, entry.case_id)
            yield [
                LateralityRow(
                    (folder, entry.case_id, variant), laterality_features(segmenter.encode(image).organs) or ()
                )
                for variant, image, _ in islice(corrupted_scans(*read_case(entry)), 2)
            ]


def fit_laterality(rows: Sequence[LateralityRow]) -> tuple[float, ...]:
    """Return weights for "left and right are right".

    Raises:
        InputError: If there are no scans, or no mirrored ones, with the upper abdomen in view.
    """
    some = [row for row in rows if row.features]
    truth = np.array([row.case[2] == _PLAIN for row in some])
    if len(set(truth.tolist())) < 2:
        raise InputError("No scan of the upper abdomen, or no mirrored one.", hint="Add sets to the recipe.")
    return fit_logistic(np.array([row.features for row in some]), truth)


def read_rows(path: Path) -> list[LateralityRow]:
    """Read rows of an earlier run; none where there is no file."""
    return [LateralityRow(tuple(row["case"]), tuple(row["features"])) for row in read_lines(path)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect rows and fit; write `calibration.json` and the manifest of the model on demand."""
    parser = argparse.ArgumentParser(prog="python -m dsm.evaluation.fit_laterality", description=__doc__)
    parser.add_argument(
        "recipe", type=Path, help="YAML with `data_root` and `laterality`, see recipes/calibration.yaml"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--rows", type=Path, required=True, help="file of rows; those in it are not made again")
    parser.add_argument("--write", action="store_true", help="write calibration.json into the folder of the model")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = yaml.safe_load(options.recipe.read_text(encoding="utf-8"))
        folder = find_model(options.model)
        segmenter = Segmenter.from_pretrained(folder, others=())
        if segmenter.calibration is None:
            raise ConfigError(f"{folder} has no calibration.", hint="Run dsm.evaluation.calibrate first.")
        rows = read_rows(options.rows)
        done = frozenset(row.case[:2] for row in rows)
        for new in collect(segmenter, Path(recipe["data_root"]), recipe["laterality"], done=done):
            append_lines(options.rows, new)
            rows += new
        weights = fit_laterality(rows)
        if options.write:
            replace(segmenter.calibration, laterality=weights).save(folder)
            write_manifest(folder)
    except DSMError as error:
        parser.exit(1, f"{error.one_line}\n")
    print(" ".join(f"{weight:.3f}" for weight in weights))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
